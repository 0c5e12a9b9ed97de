import { expect, test } from 'vitest';
import { parseLsn, toLsn } from '../../../src/core/lsn.ts';
import { ORIGIN } from '../../../src/core/position.ts';
import { checkRouting } from '../../../src/relay/routing-guard.ts';
import { thrownCode } from '../thrown-code.ts';

const AT = { commitLsn: parseLsn('0/5000'), ordinal: 2 };
const check = (noted: string | undefined, routing: string, confirmed: bigint, watermark = AT) =>
  checkRouting({ routing: noted, watermark }, routing, toLsn(confirmed));

test('a routing that is as it was is left alone; one of before there was such a note is noted', () => {
  expect(check('a: 4 partitions', 'a: 4 partitions', 0n)).toBe(false);
  expect(check(undefined, '', 0n)).toBe(false);
  expect(check(undefined, 'a: 4 partitions', 0n)).toBe(true);
});

test('a change is noted when everything that was appended is confirmed, and refused a byte before', () => {
  expect(check('a: 4 partitions', 'a: 5 partitions', 0x5001n)).toBe(true);
  expect(thrownCode(() => check('a: 4 partitions', 'a: 5 partitions', 0x5000n))).toBe('ROUTING_CHANGED');
  expect(thrownCode(() => check('', 'a: 5 partitions', 0x5000n))).toBe('ROUTING_CHANGED');
  expect(check('a: 4 partitions', '', 0n, ORIGIN)).toBe(true);
});
