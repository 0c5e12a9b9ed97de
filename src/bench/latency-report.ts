import { createHistogram } from 'node:perf_hooks';
import type { LatencyAt, LatencyReport } from './bench-report.ts';

/** One measured event, in microseconds: when, since the load began, and how long it took. */
export interface LatencySample {
  readonly atUs: number;
  readonly latencyUs: number;
}

/** Undefined without a sample. Percentiles come from Node's own HdrHistogram, with three significant digits. */
export function latencyReport(samples: readonly LatencySample[]): LatencyReport | undefined {
  if (samples.length === 0) return undefined;
  const histogram = createHistogram({ lowest: 1, highest: HIGHEST_US, figures: 3 });
  let minUs = Number.POSITIVE_INFINITY;
  let maxUs = 0;
  let sumUs = 0;
  for (const { latencyUs } of samples) {
    histogram.record(Math.min(HIGHEST_US, Math.max(1, Math.round(latencyUs))));
    minUs = Math.min(minUs, latencyUs);
    maxUs = Math.max(maxUs, latencyUs);
    sumUs += latencyUs;
  }
  // A histogram's value stands for a small range: never show more than was measured.
  const percentileMs = (percentile: number) => toMs(Math.min(maxUs, histogram.percentile(percentile)));
  return {
    count: samples.length,
    minMs: toMs(minUs),
    meanMs: toMs(sumUs / samples.length),
    p50Ms: percentileMs(50),
    p90Ms: percentileMs(90),
    p99Ms: percentileMs(99),
    p999Ms: percentileMs(99.9),
    maxMs: toMs(maxUs),
    distribution: distributionPercentiles(samples.length).map((percentile) => [
      percentile,
      percentile === 0 ? toMs(minUs) : percentileMs(percentile),
    ]),
    overTime: overTime(samples),
  };
}

/**
 * As an HDR plot has them: the distance to 100 is halved again and again, with some steps in each half, as far as
 * the number of samples says something.
 */
export function distributionPercentiles(count: number): number[] {
  const percentiles: number[] = [];
  for (let from = 0, distance = 100; distance * count >= 100; distance /= 2) {
    for (let step = 0; step < STEPS_PER_HALF; step += 1) {
      percentiles.push(round(from + (distance / 2) * (step / STEPS_PER_HALF), 6));
    }
    from += distance / 2;
  }
  return [...percentiles, 100];
}

function overTime(samples: readonly LatencySample[]): LatencyAt[] {
  const bySecond = new Map<number, number[]>();
  for (const { atUs, latencyUs } of samples) {
    const second = Math.floor(atUs / 1e6);
    const list = bySecond.get(second);
    if (list === undefined) bySecond.set(second, [latencyUs]);
    else list.push(latencyUs);
  }
  return [...bySecond]
    .sort(([a], [b]) => a - b)
    .map(([seconds, list]) => {
      const sorted = Float64Array.from(list).sort();
      const at = (share: number) => toMs(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
      return { seconds, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), count: sorted.length };
    });
}

function toMs(us: number): number {
  return round(us / 1000, 3);
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}

/** An hour; whatever takes longer has timed out. */
const HIGHEST_US = 3_600_000_000;
const STEPS_PER_HALF = 8;
