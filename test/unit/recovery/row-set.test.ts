import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { RowSet } from '../../../src/recovery/row-set.ts';

test('holds what was added and nothing else', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(100_000)),
      fc.nat(100_000),
      fc.integer({ min: 1, max: 50 }),
      (rows, from, count) => {
        const set = new RowSet();
        for (const row of rows) set.add(row);
        expect(set.size).toBe(rows.length);
        expect(set.first).toBe(rows.length === 0 ? Number.POSITIVE_INFINITY : Math.min(...rows));
        for (const row of [...rows, from]) expect(set.has(row)).toBe(rows.includes(row));
        expect(set.hasAny(from, count)).toBe(rows.some((row) => row >= from && row < from + count));
      },
    ),
  );
});

test('a whole set holds every row up to its size, and takes no memory for them', () => {
  const rows = RowSet.whole(3);
  expect([0, 1, 2, 3].map((row) => rows.has(row))).toEqual([true, true, true, false]);
  expect([rows.size, rows.first, rows.hasAny(2, 5), rows.hasAny(3, 5)]).toEqual([3, 0, true, false]);
});
