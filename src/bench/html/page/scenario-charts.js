import { themeColor } from './chart-theme.js';
import { contestantStyles, FLOOR_STYLE } from './contestant-style.js';
import { formatCount, formatMs, formatPercentile, formatSeconds } from './format-figure.js';
import { drawLineChart } from './line-chart.js';
import { logLimits, logTicks } from './log-ticks.js';
import { percentilePosition, percentileTicks } from './percentile-axis.js';

/** @typedef {import('../../bench-report.ts').BenchReport} BenchReport */
/** @typedef {import('../../bench-report.ts').LatencyReport} LatencyReport */
/** @typedef {import('../../bench-report.ts').RunReport} RunReport */
/** @typedef {import('./line-chart.js').Series} Series */

const TICK_PX = 24;
/** A latency that the clock could not tell from zero still has to stand somewhere on a log axis. */
const LEAST_MS = 0.001;

/**
 * Draws one chart of one scenario; which, the canvas says.
 * @param {BenchReport} report
 * @param {HTMLCanvasElement} canvas with data-chart and data-scenario
 * @param {ReadonlySet<string>} hidden contestants that the reader has switched off
 */
export function drawScenarioChart(report, canvas, hidden) {
  const { chart, scenario } = canvas.dataset;
  const runs = report.contestants.flatMap(({ id }) => {
    const run = report.runs.findLast((each) => each.contestant === id && each.scenario === scenario);
    return run?.outcome === 'measured' ? [run] : [];
  });
  const shown = runs.filter((run) => !hidden.has(run.contestant));
  switch (chart) {
    case 'distribution':
      return distribution(
        report,
        canvas,
        shown,
        hidden.has('floor-reference') ? [] : floorReference(report, runs),
      );
    case 'p50-over-time':
      return overTime(report, canvas, shown, 'p50Ms');
    case 'p99-over-time':
      return overTime(report, canvas, shown, 'p99Ms');
    case 'drain':
      return drain(report, canvas, shown);
    default:
      throw new Error(`no such chart: ${chart}`);
  }
}

/**
 * @param {BenchReport} report
 * @param {HTMLCanvasElement} canvas
 * @param {readonly RunReport[]} runs
 * @param {readonly Series[]} references
 */
function distribution(report, canvas, runs, references) {
  const series = [
    ...runs.flatMap((run) =>
      run.latency === undefined ? [] : [seriesOf(report, run, distributionPoints(run.latency))],
    ),
    ...references,
  ];
  const end = Math.max(2, ...series.flatMap(({ points }) => points.map(({ x }) => x)));
  return drawLineChart(canvas, {
    series,
    x: {
      type: 'linear',
      title: 'percentile',
      min: 0,
      max: end,
      format: (x) => formatPercentile(100 * (1 - 10 ** -x)),
      ticks: (width) => percentileTicks(end, width),
    },
    y: latencyAxis(series),
    tooltipTitle: (x) => (x >= end ? 'maximum' : formatPercentile(100 * (1 - 10 ** -x))),
    tooltipValue: (ms) => formatMs(ms, 3),
  });
}

/**
 * The best that this machine can do for one event, where it was measured apart and not as one of the runs.
 * @param {BenchReport} report
 * @param {readonly RunReport[]} runs
 * @returns {Series[]}
 */
function floorReference({ floor, contestants }, runs) {
  const floorIds = contestants.filter(({ kind }) => kind === 'floor').map(({ id }) => id);
  const latency = floor.bareLoop ?? floor.copyData;
  if (latency === undefined || runs.some((run) => run.latency && floorIds.includes(run.contestant)))
    return [];
  return [
    {
      ...FLOOR_STYLE,
      color: themeColor(FLOOR_STYLE.color),
      name: floor.bareLoop === undefined ? 'floor: CopyData alone' : 'floor: bare loop',
      points: distributionPoints(latency),
    },
  ];
}

/**
 * @param {LatencyReport} latency
 */
function distributionPoints({ distribution: steps, count }) {
  return steps.map(([percentile, ms]) => ({
    x: percentilePosition(percentile, count),
    y: Math.max(ms, LEAST_MS),
  }));
}

/**
 * @param {BenchReport} report
 * @param {HTMLCanvasElement} canvas
 * @param {readonly RunReport[]} runs
 * @param {'p50Ms' | 'p99Ms'} figure
 */
function overTime(report, canvas, runs, figure) {
  /** @param {'p50Ms' | 'p99Ms'} which */
  const seriesFor = (which) =>
    runs.flatMap((run) => {
      const points = (run.latency?.overTime ?? [])
        .filter(({ count }) => count > 0)
        .map((at) => ({ x: at.seconds, y: Math.max(at[which], LEAST_MS) }));
      return points.length === 0 ? [] : [seriesOf(report, run, points)];
    });
  const series = seriesFor(figure);
  return drawLineChart(canvas, {
    series,
    x: secondsAxis('since the load began', series),
    // One axis for both figures: side by side they compare.
    y: latencyAxis([...seriesFor('p50Ms'), ...seriesFor('p99Ms')]),
    tooltipTitle: (x) => `at ${formatSeconds(x, 2)}`,
    tooltipValue: (ms) => formatMs(ms, 3),
  });
}

/**
 * @param {BenchReport} report
 * @param {HTMLCanvasElement} canvas
 * @param {readonly RunReport[]} runs
 */
function drain(report, canvas, runs) {
  const series = runs.flatMap((run) =>
    run.throughput === undefined || run.throughput.overTime.length === 0
      ? []
      : [
          seriesOf(
            report,
            run,
            run.throughput.overTime.map(([x, y]) => ({ x, y })),
          ),
        ],
  );
  return drawLineChart(canvas, {
    series,
    x: secondsAxis('since the drain began', series),
    y: { type: 'linear', title: 'entries in the streams', min: 0, format: formatCount },
    tooltipTitle: (x) => `after ${formatSeconds(x, 2)}`,
    tooltipValue: formatCount,
  });
}

/**
 * @param {BenchReport} report
 * @param {RunReport} run
 * @param {{ x: number, y: number }[]} points
 * @returns {Series}
 */
function seriesOf(report, run, points) {
  const style = contestantStyles(report.contestants).get(run.contestant) ?? FLOOR_STYLE;
  const name = report.contestants.find(({ id }) => id === run.contestant)?.name ?? run.contestant;
  return { ...style, color: themeColor(style.color), name, points };
}

/**
 * @param {readonly Series[]} series
 * @returns {import('./line-chart.js').Axis}
 */
function latencyAxis(series) {
  const { min, max } = logLimits(series.flatMap(({ points }) => points.map(({ y }) => y)));
  return {
    type: 'logarithmic',
    title: 'latency, log scale',
    min,
    max,
    format: (ms) => formatMs(ms, 1),
    ticks: (height) => logTicks(min, max, height / TICK_PX),
  };
}

/**
 * @param {string} since
 * @param {readonly Series[]} series
 * @returns {import('./line-chart.js').Axis}
 */
function secondsAxis(since, series) {
  const end = Math.max(0, ...series.flatMap(({ points }) => points.map(({ x }) => x)));
  return {
    type: 'linear',
    title: `seconds ${since}`,
    min: 0,
    ...(end > 0 ? { max: end } : {}),
    format: (seconds) => String(Number(seconds.toFixed(2))),
  };
}
