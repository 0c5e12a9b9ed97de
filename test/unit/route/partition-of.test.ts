import { expect, test } from 'vitest';
import { partitionOf } from '../../../src/route/partition-of.ts';

/** Those of docs/mapping.md, computed by another program: what is written there must hold for ever. */
test.each([
  ['', [3, 11, 923]],
  ['O-1', [1, 5, 821]],
  ['order-42', [3, 7, 703]],
  ['größe', [0, 12, 484]],
  ['7e2a6f0c-3c1d-4b7a-9d55-1f8a0c2b6e11', [1, 9, 593]],
] as const)('the key %j is in its partition of 4, 16 and 1000', (key, partitions) => {
  const bytes = Buffer.from(`#${key}#`);
  const length = Buffer.byteLength(key);
  expect([4, 16, 1000].map((count) => partitionOf(bytes, 1, length, count))).toEqual(partitions);
});

test('keys are spread evenly', () => {
  const counts = Array.from({ length: 16 }, () => 0);
  for (let key = 0; key < 16_000; key += 1) {
    const bytes = Buffer.from(`order-${key}`);
    counts[partitionOf(bytes, 0, bytes.length, 16)]! += 1;
  }
  expect(Math.min(...counts)).toBeGreaterThan(850);
  expect(Math.max(...counts)).toBeLessThan(1150);
});
