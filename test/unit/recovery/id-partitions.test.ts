import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdPartitions } from '../../../src/recovery/id-partitions.ts';

function missingOf(held: readonly string[], rows: readonly string[]): number[] {
  using partitions = new IdPartitions();
  for (const id of held) partitions.addHeld(id);
  rows.forEach((id, row) => partitions.addRow(id, { row, verdict: row % 3 }));
  const missing = [...partitions.missing()];
  for (const { row, verdict } of missing) expect(verdict).toBe(row % 3);
  return missing.map(({ row }) => row).sort((a, b) => a - b);
}

test('a row is missing whose id no stream holds', () => {
  expect(missingOf(['a', 'b', ''], ['b', 'c', 'a', 'd', ''])).toEqual([1, 3]);
});

test('an id of several rows is missing as often as there are more rows than entries: the last ones', () => {
  expect(missingOf(['a', 'a', 'b'], ['a', 'a', 'a', 'b', 'a', 'b'])).toEqual([2, 4, 5]);
});

test('is what a multiset of the ids says, whatever they are', () => {
  const ids = fc.array(fc.oneof(fc.constantFrom('a', 'b', 'c', 'ä', '\0'), fc.string()), { maxLength: 60 });
  fc.assert(
    fc.property(ids, ids, (held, rows) => {
      const left = [...held];
      const expected = rows.flatMap((id, row) => {
        const at = left.indexOf(id);
        if (at === -1) return [row];
        left.splice(at, 1);
        return [];
      });
      expect(missingOf(held, rows)).toEqual(expected);
    }),
  );
});

test('holds also beyond what stays in memory', () => {
  using partitions = new IdPartitions();
  const count = 200_000;
  for (let n = 0; n < count; n += 1) if (n % 1000 !== 7) partitions.addHeld(`event-${n}`);
  for (let n = 0; n < count; n += 1) partitions.addRow(`event-${n}`, { row: n + 5_000_000_000, verdict: 0 });
  const missing = [...partitions.missing()].map(({ row }) => row - 5_000_000_000).sort((a, b) => a - b);
  expect(missing).toEqual(Array.from({ length: count / 1000 }, (_, index) => index * 1000 + 7));
});

test('a row is looked for among what is of its own table first, then among what its stream holds of several', () => {
  const [ORDERS, BILLING, STREAM] = [0, 1, 2] as const;
  const missingIn = (held: readonly [string, number][], rows: readonly [string, number][]) => {
    using partitions = new IdPartitions();
    for (const [id, scope] of held) partitions.addHeld(id, scope);
    rows.forEach(([id, own], row) => partitions.addRow(id, { row, verdict: 0 }, { own, shared: STREAM }));
    return [...partitions.missing()].map(({ row }) => row).sort((a, b) => a - b);
  };
  // What another table's slot sends is no reason to leave a row out.
  expect(
    missingIn(
      [['1', BILLING]],
      [
        ['1', ORDERS],
        ['1', BILLING],
      ],
    ),
  ).toEqual([0]);
  // An entry of the stream is of the row that is published first.
  expect(
    missingIn(
      [['1', STREAM]],
      [
        ['1', ORDERS],
        ['1', BILLING],
      ],
    ),
  ).toEqual([1]);
  // A row that its own slot sends leaves the entry to the other one.
  expect(
    missingIn(
      [
        ['1', STREAM],
        ['1', BILLING],
      ],
      [
        ['1', BILLING],
        ['1', ORDERS],
      ],
    ),
  ).toEqual([]);
  expect(missingIn([['1', 3]], [['1', ORDERS]])).toEqual([0]);
});
