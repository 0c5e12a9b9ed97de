import { expect, test } from 'vitest';
import { hashSlot, hashTag } from '../../../src/sink/hash-slot.ts';

// As CLUSTER KEYSLOT of Redis 7.0 says.
test.each([
  ['', 0],
  ['123456789', 0x31c3 & 0x3fff],
  ['foo', 12_182],
  ['{foo}.bar', 12_182],
  ['orders.{foo}{bar}', 12_182],
  ['{user1000}.following', 3443],
])('%j is in slot %i', (key, slot) => {
  expect(hashSlot(key)).toBe(slot);
});

test.each([
  ['orders', 'orders'],
  ['orders.{7}', '7'],
  ['{}{a}', '{}{a}'],
  ['foo{{bar}}zap', '{bar'],
  ['foo{bar', 'foo{bar'],
  ['}a{b}', 'b'],
])('of %j, %j is hashed', (key, tag) => {
  expect(hashTag(key)).toBe(tag);
});
