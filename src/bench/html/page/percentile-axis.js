/*
 * The axis of an HDR plot: each step to the right is ten times rarer, so that 99, 99.9 and 99.99 % lie as far apart as
 * 0 and 90 %. A position is the number of nines: 0 % at 0, 90 % at 1, 99 % at 2.
 */

const TICKS = [0, 50, 90, 99, 99.9, 99.99, 99.999];
const LABEL_PX = 40;

/**
 * @param {number} percentile from 0 to 100
 * @param {number} count of values: the largest of n stands at 1 - 1/n, for 100 % would be infinitely far
 */
export function percentilePosition(percentile, count) {
  const rarest = Math.log10(Math.max(count, 10));
  return percentile >= 100 ? rarest : Math.min(Math.log10(100 / (100 - percentile)), rarest);
}

/**
 * @param {number} end the last position that is drawn
 * @param {number} lengthPx of the axis; on a short one 50 % would lie on 0 %
 */
export function percentileTicks(end, lengthPx) {
  const fits = (/** @type {number} */ at) => at === 0 || (lengthPx * at) / end > LABEL_PX;
  return TICKS.map((percentile) => percentilePosition(percentile, Number.MAX_VALUE)).filter(
    (at) => at <= end + 1e-9 && fits(at),
  );
}
