/* Limits and ticks of a logarithmic axis, on round values: decades, and 2 and 5 between them where there is room. */

const STEPS = [1, 2, 5];

/**
 * @param {readonly number[]} values
 * @returns {{ min: number, max: number }} the nearest round values that hold all of them
 */
export function logLimits(values) {
  const positive = values.filter((value) => value > 0);
  if (positive.length === 0) return { min: 0.1, max: 10 };
  const low = positive.reduce((a, b) => Math.min(a, b));
  const high = positive.reduce((a, b) => Math.max(a, b));
  const around = roundValues(low / 10, high * 10);
  return {
    min: around.findLast((value) => value <= low) ?? low,
    max: around.find((value) => value >= high && value > low) ?? high,
  };
}

/**
 * @param {number} min
 * @param {number} max
 * @param {number} room how many labels fit
 */
export function logTicks(min, max, room) {
  const fine = roundValues(min, max);
  if (fine.length <= room) return fine;
  return fine.filter((value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9);
}

/**
 * @param {number} min
 * @param {number} max
 */
function roundValues(min, max) {
  const values = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++) {
    // Through text, because 5 × 10 ** -2 is not 0.05.
    for (const step of STEPS) values.push(Number(`${step}e${power}`));
  }
  return values.filter((value) => value >= min && value <= max);
}
