import { describe, expect, test } from 'vitest';
import { WalBudget, type WalLook, type WalState } from '../../../src/relay/wal-budget.ts';

const MiB = 1024 ** 2;
const GiB = 1024 * MiB;

const EVERY_MS = 10_000;
/** So slowly that the time left says nothing. */
const SLOWLY = { everyMs: 24 * 3_600_000 };

/** Looks again and again at a slot that may hold `limit` bytes, `retained` of which it holds. */
function looks(
  retained: readonly number[],
  {
    limit = 100 * GiB,
    status = 'reserved',
    everyMs = EVERY_MS,
  }: { limit?: number | null; status?: string; everyMs?: number } = {},
): WalState[] {
  const budget = new WalBudget({ retainedWarnBytes: 10 * GiB });
  return retained.map((retainedBytes, index) =>
    budget.look({
      atMs: index * everyMs,
      walEndBytes: 1000 * GiB + retainedBytes,
      retainedBytes,
      safeBytes: limit === null ? null : limit - retainedBytes,
      walStatus: status,
    }),
  );
}

const levels = (states: readonly WalState[]) => states.map(({ level }) => level);
const crossings = (states: readonly WalState[]) => states.filter(({ hasChanged }) => hasChanged).length;

describe('the headroom', () => {
  test('is what is left of what the slot may hold', () => {
    expect(looks([25 * GiB])[0]).toMatchObject({ headroom: 0.75, safeBytes: 75 * GiB, level: 'ok' });
  });

  test('below a half is a warning, below a fifth an error, each said once', () => {
    const states = looks(
      [49, 51, 52, 52, 81, 82, 82].map((percent) => percent * GiB),
      SLOWLY,
    );
    expect(levels(states)).toEqual(['ok', 'warn', 'warn', 'warn', 'error', 'error', 'error']);
    expect(crossings(states)).toBe(2);
  });

  test('that wavers at a threshold is not said at each look', () => {
    const states = looks(
      [51, 49, 51, 49, 51, 49].map((percent) => percent * GiB),
      SLOWLY,
    );
    expect(levels(states)).toEqual(['warn', 'warn', 'warn', 'warn', 'warn', 'warn']);
    expect(crossings(states)).toBe(1);
  });

  test('that recovers well past the threshold is said once more', () => {
    const states = looks(
      [81, 70, 60, 45, 30].map((percent) => percent * GiB),
      SLOWLY,
    );
    expect(levels(states)).toEqual(['error', 'warn', 'warn', 'warn', 'ok']);
    expect(crossings(states)).toBe(3);
    expect(states.at(-1)?.reason).toBe('the slot is in no danger');
  });

  test('that is used up is never negative', () => {
    expect(looks([101 * GiB])[0]).toMatchObject({ headroom: 0, safeBytes: -GiB, level: 'error' });
  });
});

describe('the time to invalidation', () => {
  test('is the headroom over the rate at which it shrinks', () => {
    // A GiB every ten seconds, nothing confirmed: 89 GiB last for 890 s.
    const state = looks(Array.from({ length: 12 }, (_, index) => index * GiB)).at(-1);
    expect(state?.secondsToInvalidation).toBeCloseTo(890, -1);
    expect(state?.walBytesPerSecond).toBeCloseTo(GiB / 10, -6);
    expect(state).toMatchObject({ level: 'warn', reason: 'the slot is lost within an hour at this rate' });
  });

  test('is not known until it was measured for a while, and there is none while nothing shrinks', () => {
    const [first, second] = looks([GiB, GiB]);
    expect(first).toMatchObject({ walBytesPerSecond: null, secondsToInvalidation: null });
    expect(second).toMatchObject({ walBytesPerSecond: 0, secondsToInvalidation: null, level: 'ok' });
    const burst = looks([40 * GiB, 60 * GiB]).at(-1);
    expect(burst).toMatchObject({ walBytesPerSecond: 2 * GiB, secondsToInvalidation: null, level: 'warn' });
  });

  test('of a relay that keeps up is not short, however much is written', () => {
    const budget = new WalBudget({ retainedWarnBytes: 10 * GiB });
    // The slot moves on every thirty seconds, so the headroom is a saw.
    const states = Array.from({ length: 60 }, (_, index) => {
      const retainedBytes = (index % 3) * GiB;
      const look: WalLook = {
        atMs: index * EVERY_MS,
        walEndBytes: index * GiB,
        retainedBytes,
        safeBytes: 100 * GiB - retainedBytes,
        walStatus: 'extended',
      };
      return budget.look(look);
    });
    expect(new Set(levels(states.slice(6)))).toEqual(new Set(['ok']));
    expect(states.at(-1)?.walBytesPerSecond).toBeCloseTo(GiB / 10, -6);
  });

  test('of a WAL that went back is measured anew', () => {
    const budget = new WalBudget({ retainedWarnBytes: 10 * GiB });
    const look = { retainedBytes: 0, safeBytes: null, walStatus: 'reserved' };
    budget.look({ ...look, atMs: 0, walEndBytes: 0 });
    expect(budget.look({ ...look, atMs: 1000, walEndBytes: 10 * MiB }).walBytesPerSecond).toBe(10 * MiB);
    expect(budget.look({ ...look, atMs: 2000, walEndBytes: 0 }).walBytesPerSecond).toBeNull();
  });
});

describe('a slot', () => {
  test.each(['unreserved', 'lost'])('that is %s is an error, whatever else is said', (status) => {
    expect(looks([0], { status })[0]).toMatchObject({ level: 'error', hasChanged: true });
  });

  test('without a limit warns by what it keeps', () => {
    const states = looks([9 * GiB, 11 * GiB, 9 * GiB, 7 * GiB], { limit: null });
    expect(levels(states)).toEqual(['ok', 'warn', 'warn', 'ok']);
    expect(states[1]?.reason).toContain('WALRELAY_WAL_RETAINED_WARN_BYTES');
    expect(states[1]).toMatchObject({ headroom: null, secondsToInvalidation: null });
  });
});
