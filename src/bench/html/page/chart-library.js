/* Chart.js, which the page carries as a classic script in front of this one. */

/**
 * @typedef {typeof import('chart.js').Chart & {
 *   Interaction: typeof import('chart.js').Interaction
 * }} ChartLibrary its UMD build hangs the rest of its exports on the class
 */

/** @type {ChartLibrary} */
export const Chart = Reflect.get(globalThis, 'Chart');
