import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs } from '../../../src/core/backoff.ts';

const limits = { backoffMinMs: 100, backoffMaxMs: 10_000 };

test('the pause grows to its limit and is never below its minimum', () => {
  expect([0, 1, 2, 3].map((attempt) => backoffMs(attempt, limits, 0.999_999))).toEqual([100, 200, 400, 800]);
  expect(backoffMs(1000, limits, 0.999_999)).toBe(10_000);
  expect(backoffMs(1000, limits, 0)).toBe(100);
});

test('the pause lies within its limits for every attempt', () => {
  const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(fc.nat(), chance, (attempt, random) => {
      const pause = backoffMs(attempt, limits, random);
      expect(pause).toBeGreaterThanOrEqual(100);
      expect(pause).toBeLessThanOrEqual(10_000);
    }),
  );
});
