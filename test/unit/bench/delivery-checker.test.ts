import { describe, expect, test } from 'vitest';
import { DeliveryChecker } from '../../../src/bench/delivery-checker.ts';

const EXACT = { missing: 0, duplicated: 0, misordered: 0, timedOut: false };

/** Two producers with three events each; even and odd numbers are two aggregates. */
function check(entries: readonly (readonly [producer: number, number: number])[]) {
  const checker = new DeliveryChecker(
    new Map([
      [0, 3],
      [1, 3],
    ]),
    (_, number) => number % 2,
  );
  for (const [producer, number] of entries) checker.add(producer, number);
  return checker.result(false);
}

const ALL = [
  [0, 0],
  [0, 1],
  [0, 2],
  [1, 0],
  [1, 1],
  [1, 2],
] as const;

describe('the checker', () => {
  test('finds nothing when everything stands once and in order', () => {
    expect(check(ALL)).toEqual(EXACT);
  });

  test('lets aggregates and producers overtake each other', () => {
    expect(check([ALL[4], ALL[1], ALL[3], ALL[0], ALL[5], ALL[2]])).toEqual(EXACT);
  });

  test('finds what is missing', () => {
    expect(check(ALL.slice(1))).toEqual({ ...EXACT, missing: 1 });
    expect(check([])).toEqual({ ...EXACT, missing: 6 });
  });

  test('finds what stands twice, and counts it as that alone', () => {
    expect(check([...ALL, ALL[0], ALL[0]])).toEqual({ ...EXACT, duplicated: 2 });
  });

  test('finds what stands behind a later one of its aggregate', () => {
    expect(check([ALL[2], ALL[0], ALL[1], ...ALL.slice(3)])).toEqual({ ...EXACT, misordered: 1 });
  });

  test('finds what nobody committed', () => {
    expect(check([...ALL, [0, 3], [7, 0]])).toEqual({ ...EXACT, foreign: 2 });
  });

  test('says when time was over', () => {
    expect(new DeliveryChecker(new Map(), () => 0).result(true)).toEqual({ ...EXACT, timedOut: true });
  });
});
