import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ClaimSize } from '../../../src/polling/claim-size.ts';

const KiB = 1024;
const LIMITS = { eventsMax: 8192, bytesMax: 8 * KiB * KiB };

test('begins small, since nothing is known of the rows, and takes all once they are known as small', () => {
  const size = new ClaimSize(LIMITS);
  expect(size.next).toBeLessThanOrEqual(64);
  for (let count = 0; count < 10; count += 1) size.observe(size.next, size.next * 300);
  expect(size.next).toBe(8192);
});

test('rows that grow shrink the very next claim; an empty claim says nothing', () => {
  const size = new ClaimSize(LIMITS);
  for (let count = 0; count < 10; count += 1) size.observe(100, 100 * 300);
  size.observe(1, 256 * KiB);
  const after = size.next;
  expect(after * 256 * KiB).toBeLessThanOrEqual(LIMITS.bytesMax);
  size.observe(0, 5);
  expect(size.next).toBe(after);
});

test('a claim of rows as large as the last ones stays within its bytes, and at least one row is claimed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e5 }), fc.array(fc.integer({ min: 1, max: 1e8 })), (max, rows) => {
      const size = new ClaimSize({ eventsMax: max, bytesMax: 1e6 });
      const sizes = new Set<number>();
      for (const bytes of rows) {
        size.observe(1, bytes);
        const { next } = size;
        sizes.add(next);
        expect(next).toBeGreaterThanOrEqual(1);
        expect(next).toBeLessThanOrEqual(max);
        expect(next === 1 || next * bytes <= 1e6).toBe(true);
      }
      // Each one is a prepared statement.
      expect(sizes.size).toBeLessThan(11);
    }),
  );
});
