import { expect, test } from 'vitest';
import { rangeSql } from '../../../src/source/row-order.ts';

const order = { column: 'created_at' };

test('a range of all rows has no condition', () => {
  expect(rangeSql(order, { from: null, withNulls: true, where: null })).toEqual([]);
});

test('a value and a condition both count, and a condition may end in a comment', () => {
  expect(rangeSql(order, { from: "it's", withNulls: true, where: 'a OR b -- both' })).toEqual([
    `WHERE ("created_at" >= 'it''s' OR "created_at" IS NULL) AND (\na OR b -- both\n)`,
  ]);
});
