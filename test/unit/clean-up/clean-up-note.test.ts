import { describe, expect, test } from 'vitest';
import { CleanUpNote, isWithinReach, rowXid } from '../../../src/clean-up/clean-up-note.ts';

const HOUR_MS = 3_600_000;
const note = () => CleanUpNote.begin({ xid: 100n, atMs: 1_000_000 });

test('what was noted is read back the same', () => {
  const written = note();
  written.look({ xid: 5_000_000_000n, atMs: 2_000_000 }, HOUR_MS);
  const read = CleanUpNote.parse(written.toString());
  expect(read?.since).toEqual({ xid: 100n, atMs: 1_000_000 });
  expect(String(read)).toBe('100@1000000 5000000000@2000000');
});

test.each(['', 'nonsense', '1@2 x', '1@', '@5', '-1@3'])('a note that says %j is no note', (text) => {
  expect(CleanUpNote.parse(text)).toBeNull();
});

describe('the horizon of a table without a time', () => {
  test('counts only once it is as old as the retention', () => {
    const looked = note();
    looked.look({ xid: 7n, atMs: 0 }, HOUR_MS);
    expect(looked.ripe(HOUR_MS - 1, HOUR_MS)).toBeNull();
    expect(looked.ripe(HOUR_MS, HOUR_MS)).toBe(7n);
  });

  test('is the newest of those that are old enough, whatever the number of looks, and the note stays short', () => {
    const looked = note();
    for (let look = 0; look < 10_000; look += 1)
      looked.look({ xid: BigInt(look), atMs: look * 1000 }, HOUR_MS);
    const ripe = Number(looked.ripe(9_999_000, HOUR_MS));
    expect(ripe).toBeLessThanOrEqual((9_999_000 - HOUR_MS) / 1000);
    // A sixteenth of the retention late at most.
    expect(ripe).toBeGreaterThan((9_999_000 - HOUR_MS * (1 + 2 / 16)) / 1000);
    expect(looked.toString().split(' ').length).toBeLessThan(20);
  });

  test('of a time that is yet to come, after a clock was set back, counts for nothing', () => {
    const looked = note();
    looked.look({ xid: 7n, atMs: 50 * HOUR_MS }, HOUR_MS);
    expect(looked.look({ xid: 8n, atMs: HOUR_MS }, HOUR_MS)).toBe(true);
    expect(looked.ripe(60 * HOUR_MS, HOUR_MS)).toBe(8n);
    expect(looked.ripe(1.5 * HOUR_MS, HOUR_MS)).toBeNull();
  });
});

test('a transaction id is compared with those of rows only within two billion', () => {
  expect(isWithinReach(1_000n, 2_000_000_000n)).toBe(true);
  expect(isWithinReach(1_000n, 2_147_483_648n)).toBe(false);
  expect(rowXid(4_294_967_296n + 5n)).toBe('5');
});
