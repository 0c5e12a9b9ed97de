import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { CommitTimeFormatter, postgresTimeToUnixMs } from '../../../src/sink/commit-time.ts';

const EPOCH_MS = Date.UTC(2000, 0, 1);
const FIRST_US = BigInt(Date.UTC(0, 0, 1) - EPOCH_MS) * 1000n; // 1900: two-digit years mean that to Date
const LAST_US = BigInt(Date.UTC(9999, 11, 31, 23, 59, 59, 999) - EPOCH_MS) * 1000n;

/** By Date alone, which knows milliseconds: the microseconds are put behind them. */
function expected(us: bigint): string {
  const below = ((us % 1000n) + 1000n) % 1000n;
  const iso = new Date(EPOCH_MS + Number((us - below) / 1000n)).toISOString();
  return `${iso.slice(0, -1)}${String(below).padStart(3, '0')}Z`;
}

test.each<[bigint, string]>([
  [0n, '2000-01-01T00:00:00.000000Z'],
  [1n, '2000-01-01T00:00:00.000001Z'],
  [848_046_600_123_456n, '2026-11-15T08:30:00.123456Z'],
  [-1_000_000n, '1999-12-31T23:59:59.000000Z'],
  [-1n, '1999-12-31T23:59:59.999999Z'],
])('%i µs is %s', (us, text) => {
  expect(new CommitTimeFormatter().format(us).toString()).toBe(text);
});

test('every time since 1900 is what Date says, with its microseconds', () => {
  const formatter = new CommitTimeFormatter();
  fc.assert(
    fc.property(fc.bigInt({ min: FIRST_US, max: LAST_US }), (us) => {
      expect(formatter.format(us).toString()).toBe(expected(us));
    }),
    { numRuns: 200 },
  );
});

test('times within one second and across seconds do not disturb each other', () => {
  const formatter = new CommitTimeFormatter();
  const near = fc.bigInt({ min: -3_000_000n, max: 3_000_000n });
  fc.assert(
    fc.property(fc.array(near, { maxLength: 10, size: 'max' }), (times) => {
      expect(times.map((us) => formatter.format(us).toString())).toEqual(times.map(expected));
    }),
    { numRuns: 100 },
  );
});

test('milliseconds since 1970 are what Date counts', () => {
  expect(postgresTimeToUnixMs(0n)).toBe(EPOCH_MS);
  expect(postgresTimeToUnixMs(1_999n)).toBe(EPOCH_MS + 1);
  expect(postgresTimeToUnixMs(848_046_600_123_456n)).toBe(Date.parse('2026-11-15T08:30:00.123Z'));
});
