import { expect, test } from 'vitest';
import { OrderCheck, type OrderedEntry } from '../../../src/audit/order-check.ts';

function at(lsn: number, aggregate = 'a', committedAtMs = lsn): OrderedEntry {
  return { lsn: BigInt(lsn), seq: 0, committedAtMs, aggregate };
}

test('entries in commit order are kept, those of one transaction by their numbers', () => {
  const order = new OrderCheck();
  const found = [at(1), at(2), { ...at(2), seq: 1 }, { ...at(2), seq: 2 }, at(3)].map((entry) =>
    order.check(entry),
  );
  expect(found).toEqual(['kept', 'kept', 'kept', 'kept', 'kept']);
});

test('an entry behind a later one is broken; every one is, up to the newest', () => {
  const order = new OrderCheck();
  const entries = [at(1, 'a'), at(5, 'b'), at(3, 'c'), at(4, 'b'), at(6, 'a')];
  expect(entries.map((entry) => order.check(entry))).toEqual(['kept', 'kept', 'broken', 'aggregate', 'kept']);
});

test('a lower position that was committed later is a new history, not a broken order', () => {
  const order = new OrderCheck();
  const entries = [at(100, 'a', 1_000), at(50, 'a', 9_000), at(51, 'a', 9_001), at(49, 'a', 9_000)];
  expect(entries.map((entry) => order.check(entry))).toEqual(['kept', 'kept', 'kept', 'aggregate']);
  expect(order.newHistories).toBe(1);
});

test('aggregates beyond those that fit are forgotten, the stream is not', () => {
  const order = new OrderCheck(1);
  const entries = [at(5, 'a'), at(6, 'b'), at(4, 'a'), at(5, 'b')];
  expect(entries.map((entry) => order.check(entry))).toEqual(['kept', 'kept', 'broken', 'aggregate']);
});
