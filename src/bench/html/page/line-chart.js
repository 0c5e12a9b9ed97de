import { Chart } from './chart-library.js';
import { chartTheme } from './chart-theme.js';
import { endLabels, endLabelsWidth } from './end-labels.js';
import './nearest-of-each.js';

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} color as a canvas takes it
 * @property {readonly number[]} dash
 * @property {number} width
 * @property {{ x: number, y: number }[]} points
 */

/**
 * @typedef {object} Axis
 * @property {'linear' | 'logarithmic'} type
 * @property {string} title
 * @property {number} min
 * @property {number} [max]
 * @property {(value: number) => string} format
 * @property {(lengthPx: number) => readonly number[]} [ticks] Chart.js's own when absent
 */

/**
 * @typedef {object} LineChart
 * @property {Series[]} series
 * @property {Axis} x
 * @property {Axis} y
 * @property {(x: number) => string} tooltipTitle
 * @property {(y: number) => string} tooltipValue
 */

/**
 * Draws at once, without animation: printing waits for nothing.
 * @param {HTMLCanvasElement} canvas
 * @param {LineChart} what
 */
export function drawLineChart(canvas, what) {
  const theme = chartTheme();
  return new Chart(canvas, {
    type: 'line',
    data: { datasets: what.series.map(dataset) },
    plugins: [endLabels(what.series, theme)],
    options: {
      animation: false,
      maintainAspectRatio: false,
      parsing: false,
      normalized: true,
      layout: {
        padding: ({ chart }) => ({
          top: 8,
          right: Math.max(8, endLabelsWidth(what.series, chart.width, theme)),
        }),
      },
      // Chart.js types only its own modes.
      interaction: { mode: /** @type {'x'} */ (/** @type {string} */ ('nearestOfEach')), intersect: false },
      scales: { x: scale(what.x, 'x', theme), y: scale(what.y, 'y', theme) },
      plugins: { legend: { display: false }, tooltip: tooltip(what, theme) },
    },
  });
}

/**
 * @param {Series} series
 * @returns {import('chart.js').ChartDataset<'line', { x: number, y: number }[]>}
 */
function dataset({ name, color, dash, width, points }) {
  return {
    label: name,
    data: points,
    borderColor: color,
    backgroundColor: color,
    borderDash: [...dash],
    borderWidth: width,
    borderJoinStyle: 'round',
    // A few values are no curve, and one alone is not even a line: then the dots are what was measured.
    pointRadius: points.length === 1 ? 4 : points.length <= 12 ? 2.5 : 0,
    pointHoverRadius: 4,
    pointHoverBackgroundColor: color,
    pointHoverBorderColor: color,
    // Dots at the edge are seen whole.
    clip: 6,
  };
}

/**
 * @param {Axis} axis
 * @param {'x' | 'y'} direction
 * @param {import('./chart-theme.js').ChartTheme} theme
 * @returns {import('chart.js').ScaleOptionsByType<'linear' | 'logarithmic'> | object}
 */
function scale({ type, title, min, max, format, ticks }, direction, theme) {
  const font = { family: theme.font, size: 12 };
  return {
    type,
    min,
    ...(max === undefined ? {} : { max }),
    title: { display: true, text: title, color: theme.muted, font, align: 'end' },
    grid: { color: theme.grid, tickLength: 4 },
    border: { color: theme.axis },
    ticks: {
      color: theme.muted,
      font,
      maxRotation: 0,
      includeBounds: false,
      // Ticks of ours are chosen to fit; of the others as many as do.
      autoSkip: ticks === undefined,
      autoSkipPadding: 12,
      callback: (/** @type {string | number} */ value) => format(Number(value)),
    },
    /** @param {import('chart.js').Scale} scaleOf */
    afterBuildTicks(scaleOf) {
      if (ticks === undefined) return;
      const { width, height } = scaleOf.chart;
      scaleOf.ticks = ticks(direction === 'x' ? width : height).map((value) => ({ value }));
    },
  };
}

/**
 * @param {LineChart} what
 * @param {import('./chart-theme.js').ChartTheme} theme
 * @returns {object}
 */
function tooltip({ tooltipTitle, tooltipValue }, theme) {
  return {
    backgroundColor: theme.surface,
    borderColor: theme.axis,
    borderWidth: 1,
    titleColor: theme.text,
    bodyColor: theme.text,
    titleFont: { family: theme.font, size: 12 },
    bodyFont: { family: theme.font, size: 12 },
    padding: 10,
    boxWidth: 10,
    boxHeight: 2,
    // The slowest at the top, as the lines lie.
    itemSort: (/** @type {TooltipItem} */ a, /** @type {TooltipItem} */ b) => b.parsed.y - a.parsed.y,
    callbacks: {
      title: (/** @type {TooltipItem[]} */ [first]) =>
        first === undefined ? '' : tooltipTitle(first.parsed.x),
      label: (/** @type {TooltipItem} */ { parsed, dataset: { label } }) =>
        ` ${label ?? ''}: ${tooltipValue(parsed.y)}`,
    },
  };
}

/** @typedef {{ parsed: { x: number, y: number }, dataset: { label?: string } }} TooltipItem */
