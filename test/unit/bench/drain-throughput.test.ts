import { describe, expect, test } from 'vitest';
import { throughputOf } from '../../../src/bench/drain-run.ts';

const CURVE = [
  [1_000_000, 500],
  [1_500_000, 5500],
  [2_000_000, 10_500],
] as const;

describe('throughput', () => {
  test('counts from the first entries that were seen, without them', () => {
    expect(throughputOf(CURVE)).toEqual({
      eventsPerSecond: 10_000,
      seconds: 1,
      overTime: [
        [0, 500],
        [0.5, 5500],
        [1, 10_500],
      ],
    });
  });

  test('of one transaction counts all, from the commit', () => {
    expect(throughputOf(CURVE, 0)).toMatchObject({ eventsPerSecond: 5250, seconds: 2 });
  });

  test('of nothing is nothing', () => {
    expect(throughputOf([])).toEqual({ eventsPerSecond: 0, seconds: 0, overTime: [] });
  });

  test('keeps a long curve short, and its end', () => {
    const long = Array.from({ length: 5001 }, (_, index): [number, number] => [index * 1000, index + 1]);
    const { overTime } = throughputOf(long);
    expect(overTime.length).toBeLessThanOrEqual(201);
    expect(overTime.at(-1)).toEqual([5, 5001]);
  });
});
