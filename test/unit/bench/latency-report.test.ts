import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { distributionPercentiles, latencyReport } from '../../../src/bench/latency-report.ts';

function reportOf(latenciesUs: readonly number[]) {
  const report = latencyReport(latenciesUs.map((latencyUs, index) => ({ atUs: index * 1000, latencyUs })));
  if (report === undefined) throw new Error('no report');
  return report;
}

describe('a latency report', () => {
  test('of nothing is none', () => {
    expect(latencyReport([])).toBeUndefined();
  });

  test('has the percentiles of what was measured, to three digits', () => {
    const report = reportOf(Array.from({ length: 10_000 }, (_, index) => (index + 1) * 10));
    expect(report.count).toBe(10_000);
    expect(report.minMs).toBe(0.01);
    expect(report.maxMs).toBe(100);
    expect(report.meanMs).toBeCloseTo(50, 1);
    expect(Math.abs(report.p50Ms - 50)).toBeLessThan(0.1);
    expect(Math.abs(report.p90Ms - 90)).toBeLessThan(0.1);
    expect(Math.abs(report.p99Ms - 99)).toBeLessThan(0.2);
    expect(Math.abs(report.p999Ms - 99.9)).toBeLessThan(0.2);
  });

  test('never shows more than the maximum, and rises along its distribution', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100_000_000 }), { minLength: 1 }), (latenciesUs) => {
        const report = reportOf(latenciesUs);
        const values = report.distribution.map(([, ms]) => ms);
        expect(values).toEqual([...values].sort((a, b) => a - b));
        expect(values.at(-1)).toBe(report.maxMs);
        expect([report.minMs, report.p50Ms, report.p90Ms, report.p99Ms, report.p999Ms, report.maxMs]).toEqual(
          [report.minMs, report.p50Ms, report.p90Ms, report.p99Ms, report.p999Ms, report.maxMs].sort(
            (a, b) => a - b,
          ),
        );
      }),
    );
  });

  test('tells the seconds apart', () => {
    const report = latencyReport([
      { atUs: 2_500_000, latencyUs: 4000 },
      { atUs: 100, latencyUs: 1000 },
      { atUs: 999_999, latencyUs: 3000 },
    ]);
    expect(report?.overTime).toEqual([
      { seconds: 0, p50Ms: 1, p99Ms: 3, maxMs: 3, count: 2 },
      { seconds: 2, p50Ms: 4, p99Ms: 4, maxMs: 4, count: 1 },
    ]);
  });
});

test('distribution points go from 0 to 100 and get denser, as far as the samples reach', () => {
  const few = distributionPercentiles(10);
  const many = distributionPercentiles(1_000_000);
  for (const points of [few, many]) {
    expect(points[0]).toBe(0);
    expect(points.at(-1)).toBe(100);
    expect(new Set(points).size).toBe(points.length);
  }
  expect(many.filter((point) => point > 99.9).length).toBeGreaterThan(10);
  expect(few.filter((point) => point > 95 && point < 100)).toEqual([]);
});
