import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Lsn, parseLsn } from '../../../src/core/lsn.ts';
import { encodeStatusUpdate } from '../../../src/source/status-update.ts';

const anyLsn = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map((value) => value as Lsn);

test('a status update is the 34 bytes of the protocol', () => {
  const message = encodeStatusUpdate({
    receivedLsn: parseLsn('16/B374D848'),
    confirmedLsn: parseLsn('16/B374D000'),
    nowMs: Date.UTC(2000, 0, 1, 0, 0, 1),
    isReplyRequested: true,
  });
  expect(message.toString('hex')).toBe(
    ['72', '00000016b374d848', '00000016b374d000', '00000016b374d000', '00000000000f4240', '01'].join(''),
  );
});

test('positions go out as they are, never plus one', () => {
  fc.assert(
    fc.property(anyLsn, anyLsn, fc.boolean(), (receivedLsn, confirmedLsn, isReplyRequested) => {
      const message = encodeStatusUpdate({ receivedLsn, confirmedLsn, nowMs: 0, isReplyRequested });
      expect(message).toHaveLength(34);
      expect(message.readBigUInt64BE(1)).toBe(receivedLsn);
      expect(message.readBigUInt64BE(9)).toBe(confirmedLsn);
      expect(message.readBigUInt64BE(17)).toBe(confirmedLsn);
      expect(message[33]).toBe(isReplyRequested ? 1 : 0);
    }),
  );
});

test('the clock counts microseconds from 2000, also before it and between milliseconds', () => {
  const clockAt = (nowMs: number) =>
    encodeStatusUpdate({
      receivedLsn: 0n as Lsn,
      confirmedLsn: 0n as Lsn,
      nowMs,
      isReplyRequested: false,
    }).readBigInt64BE(25);
  expect(clockAt(Date.UTC(2000, 0, 1))).toBe(0n);
  expect(clockAt(Date.UTC(2000, 0, 2))).toBe(86_400_000_000n);
  expect(clockAt(Date.UTC(1999, 11, 31, 23, 59, 59))).toBe(-1_000_000n);
  expect(clockAt(Date.UTC(2000, 0, 1) + 0.25)).toBe(250n);
});
