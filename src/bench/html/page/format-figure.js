/*
 * Figures as a person reads them. Used on both sides: by the tables, which are rendered in Node, and by the axes and
 * tooltips of the charts, so that one figure never looks like two.
 */

/** A line never breaks between a figure and its unit. */
const SPACE = '\u00a0';

/**
 * `0.42 ms`, `12.3 ms`, `843 ms`, `1.3 s`.
 * @param {number} ms
 * @param {number} [digits] that count; whole milliseconds are never rounded further
 */
export function formatMs(ms, digits = 2) {
  return Math.abs(ms) < 999.5 ? `${significant(ms, digits)}${SPACE}ms` : formatSeconds(ms / 1000, digits);
}

/** @param {number} seconds @param {number} [digits] */
export function formatSeconds(seconds, digits = 2) {
  return `${significant(seconds, digits)}${SPACE}s`;
}

/**
 * `81,200/s`, `0.2/s`.
 * @param {number} perSecond
 */
export function formatRate(perSecond) {
  const rounded = Math.abs(perSecond) < 1000 ? perSecond : Number(perSecond.toPrecision(3));
  return `${significant(rounded, Math.abs(rounded) < 10 ? 2 : 1)}/s`;
}

/** @param {number} us */
export function formatMicroseconds(us) {
  return `${significant(us, 2)}${SPACE}µs`;
}

/** @param {number} percent */
export function formatPercent(percent) {
  return `${significant(percent, 2)}${SPACE}%`;
}

/** @param {number} count */
export function formatCount(count) {
  return count.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

/**
 * `512 B`, `118 MB`, `1.2 GB`; a kB is 1,000 bytes.
 * @param {number} bytes
 */
export function formatBytes(bytes) {
  if (Math.abs(bytes) < 1000) return `${formatCount(bytes)}${SPACE}B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length, Math.floor(Math.log10(Math.abs(bytes)) / 3));
  const value = bytes / 1000 ** power;
  return `${significant(value, Math.abs(value) < 10 ? 2 : 3)}${SPACE}${units[power - 1]}`;
}

/** @param {number} percentile from 0 to 100 */
export function formatPercentile(percentile) {
  return `${Number(percentile.toFixed(4))}${SPACE}%`;
}

/**
 * At least so many digits that say something, and no decimals beyond them.
 * @param {number} value
 * @param {number} digits
 */
function significant(value, digits) {
  // As it will be read: 9.97 with two digits is 10, and needs no decimals.
  const size = Math.abs(Number(value.toPrecision(digits)));
  const decimals = size === 0 ? 0 : Math.min(6, Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
  return value.toLocaleString('en-US', { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}
