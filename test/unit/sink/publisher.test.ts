import { expect, test } from 'vitest';
import { readPublishReply } from '../../../src/sink/publisher.ts';
import { thrownCode } from '../thrown-code.ts';

test('an answer says how many events stand, and why the next one does not', () => {
  expect(readPublishReply([512])).toEqual([512, null]);
  expect(readPublishReply([7, 'WRONGTYPE of key'])).toEqual([7, 'WRONGTYPE of key']);
});

test.each([[null], ['OK'], [[]], [['7']], [[7, 8]], [[7, 'OOM', 1]], [{ appended: 7 }]])(
  'any other answer never counts as delivered: %j',
  (reply) => {
    expect(thrownCode(() => readPublishReply(reply))).toBe('REDIS_REFUSED');
  },
);
