import { describe, expect, test } from 'vitest';
import { ConfirmTracker } from '../../../src/confirm/confirm-tracker.ts';
import { type Lsn, parseLsn, toLsn } from '../../../src/core/lsn.ts';
import { thrownCode } from '../thrown-code.ts';

const lsn = (value: number): Lsn => toLsn(BigInt(value));

function trackerAt(confirmed: number, floor = confirmed, replayWindowMs = 0): ConfirmTracker {
  return new ConfirmTracker({ confirmedLsn: lsn(confirmed), floorLsn: lsn(floor), replayWindowMs });
}

/** Verifies all that was received, notes the floor, and says what Postgres is told. */
function confirm(tracker: ConfirmTracker): Lsn | null {
  tracker.verify(tracker.receivedLsn);
  const floorLsn = tracker.nextFloor;
  if (floorLsn === null) return null;
  tracker.noteFloor(floorLsn, 0);
  return tracker.release(0) ? tracker.confirmedLsn : null;
}

describe('a transaction', () => {
  test('is confirmed at its end, never plus one, once its events are accepted', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(200), 1);
    expect(confirm(tracker)).toBeNull();
    tracker.accept(1);
    expect(confirm(tracker)).toBe(200n);
    expect(confirm(tracker)).toBeNull();
  });

  test('that ends where the next one commits is confirmed without it', () => {
    // Confirming one byte more would skip the second after a reconnect. Seen on every attempt.
    const tracker = trackerAt(100);
    tracker.mark(parseLsn('0/200'), 1);
    tracker.mark(parseLsn('0/240'), 2); // commit LSN 0/200
    tracker.accept(1);
    expect(confirm(tracker)).toBe(parseLsn('0/200'));
    tracker.accept(2);
    expect(confirm(tracker)).toBe(parseLsn('0/240'));
  });

  test('spread over several batches is confirmed with the last of them', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(200), 3);
    tracker.accept(1);
    tracker.accept(2);
    expect(confirm(tracker)).toBeNull();
    tracker.accept(3);
    expect(confirm(tracker)).toBe(200n);
  });

  test('that shares its batch with later ones is confirmed together with them', () => {
    const tracker = trackerAt(100);
    for (const end of [200, 300, 400]) tracker.mark(lsn(end), 1);
    tracker.accept(1);
    expect(confirm(tracker)).toBe(400n);
  });

  test('without events is confirmed at once when nothing before it is outstanding', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(150), 0);
    expect(confirm(tracker)).toBe(150n);
  });

  test('without events waits for the events before it', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(200), 1);
    tracker.mark(lsn(250), 1);
    expect(confirm(tracker)).toBeNull();
    tracker.accept(1);
    expect(confirm(tracker)).toBe(250n);
  });
});

describe('a keepalive', () => {
  test('with nothing outstanding is confirmed: else an idle outbox fills the disk', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(5000), 0);
    expect(confirm(tracker)).toBe(5000n);
  });

  test('with something outstanding before it is not', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(200), 1);
    tracker.mark(lsn(5000), 1);
    expect(confirm(tracker)).toBeNull();
    tracker.accept(1);
    expect(confirm(tracker)).toBe(5000n);
  });

  test('below what was confirmed, as after a reconnect, changes nothing', () => {
    const tracker = trackerAt(1000);
    tracker.mark(lsn(400), 0);
    expect(confirm(tracker)).toBeNull();
    expect(tracker.receivedLsn).toBe(1000n);
    expect(tracker.confirmedLsn).toBe(1000n);
    tracker.mark(lsn(1200), 0);
    tracker.mark(lsn(900), 0);
    expect(tracker.receivedLsn).toBe(1200n);
    expect(confirm(tracker)).toBe(1200n);
  });

  test('below what is outstanding does not let it go', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(300), 1);
    tracker.mark(lsn(200), 1);
    expect(confirm(tracker)).toBeNull();
    expect(tracker.receivedLsn).toBe(300n);
    tracker.accept(1);
    expect(confirm(tracker)).toBe(300n);
  });

  test('that repeats itself is confirmed once', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(300), 0);
    expect(confirm(tracker)).toBe(300n);
    tracker.mark(lsn(300), 0);
    expect(confirm(tracker)).toBeNull();
  });
});

describe('the catalog', () => {
  test('must have been seen unchanged after a position was received, before that is confirmed', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(200), 0);
    const receivedWhenAskedLsn = tracker.receivedLsn;
    tracker.mark(lsn(300), 0);
    expect(tracker.nextFloor).toBeNull();
    tracker.verify(receivedWhenAskedLsn);
    expect(tracker.nextFloor).toBe(200n);
    tracker.verify(lsn(300));
    expect(tracker.nextFloor).toBe(300n);
  });

  test('proves nothing about what was not received', () => {
    const tracker = trackerAt(100);
    expect(thrownCode(() => tracker.verify(lsn(101)))).toBe('BUG');
  });

  test('that was asked earlier and answers later takes nothing back', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(300), 0);
    tracker.verify(lsn(300));
    tracker.verify(lsn(100));
    expect(tracker.nextFloor).toBe(300n);
  });
});

describe('the floor', () => {
  test('is noted before Postgres is told: nothing is confirmed without it', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(200), 0);
    tracker.verify(lsn(200));
    expect(tracker.nextFloor).toBe(200n);
    expect(tracker.confirmedLsn).toBe(100n);
    tracker.noteFloor(lsn(200), 0);
    expect(tracker.release(0)).toBe(true);
    expect(tracker.confirmedLsn).toBe(200n);
    expect(tracker.floorLsn).toBe(200n);
  });

  test('ahead of what is accepted, or of what was verified, is a bug', () => {
    const accepted = trackerAt(100);
    accepted.mark(lsn(200), 1);
    accepted.verify(lsn(200));
    expect(thrownCode(() => accepted.noteFloor(lsn(200), 0))).toBe('BUG');
    const verified = trackerAt(100);
    verified.mark(lsn(200), 0);
    expect(thrownCode(() => verified.noteFloor(lsn(200), 0))).toBe('BUG');
    expect([accepted.confirmedLsn, verified.confirmedLsn]).toEqual([100n, 100n]);
  });

  test('that Redis brings along ahead of the slot confirms nothing by itself', () => {
    const tracker = trackerAt(100, 500);
    expect(tracker.nextFloor).toBeNull();
    expect(tracker.confirmedLsn).toBe(100n);
    tracker.mark(lsn(200), 0);
    expect(confirm(tracker)).toBe(200n);
    expect(tracker.floorLsn).toBe(500n);
  });

  test('behind the slot at the start proves that Redis lost data', () => {
    expect(thrownCode(() => trackerAt(100, 99))).toBe('BUG');
  });

  test('noted late, behind a newer one, takes nothing back', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(200), 0);
    tracker.mark(lsn(300), 0);
    tracker.verify(lsn(300));
    tracker.noteFloor(lsn(300), 0);
    tracker.noteFloor(lsn(200), 0);
    expect(tracker.release(0)).toBe(true);
    expect(tracker.release(0)).toBe(false);
    expect([tracker.floorLsn, tracker.confirmedLsn]).toEqual([300n, 300n]);
  });
});

describe('the replay window', () => {
  test('keeps from Postgres what was noted less long ago, and lets each floor go in its own time', () => {
    const tracker = trackerAt(100, 100, 5000);
    for (const [at, noted] of [
      [1000, 200],
      [3000, 300],
    ] as const) {
      tracker.mark(lsn(noted), 0);
      tracker.verify(lsn(noted));
      tracker.noteFloor(lsn(noted), at);
    }
    expect([tracker.floorLsn, tracker.confirmedLsn]).toEqual([300n, 100n]);
    expect(tracker.release(5999)).toBe(false);
    expect(tracker.release(6000)).toBe(true);
    expect(tracker.confirmedLsn).toBe(200n);
    expect(tracker.release(8000)).toBe(true);
    expect(tracker.confirmedLsn).toBe(300n);
  });

  test('does not keep a newer floor from being noted', () => {
    const tracker = trackerAt(100, 100, 5000);
    tracker.mark(lsn(200), 0);
    tracker.verify(lsn(200));
    tracker.noteFloor(lsn(200), 0);
    expect(tracker.nextFloor).toBeNull();
    tracker.mark(lsn(300), 0);
    tracker.verify(lsn(300));
    expect(tracker.nextFloor).toBe(300n);
  });

  test('is dropped for a primary that shuts down, for what is noted and nothing else', () => {
    const tracker = trackerAt(100, 100, 5000);
    tracker.mark(lsn(200), 0);
    tracker.verify(lsn(200));
    tracker.noteFloor(lsn(200), 0);
    tracker.mark(lsn(300), 0);
    tracker.verify(lsn(300));
    tracker.releaseAll();
    expect(tracker.confirmedLsn).toBe(200n);
    tracker.releaseAll();
    expect(tracker.release(1e9)).toBe(false);
  });
});

describe('batches', () => {
  test('are accepted in order, each once', () => {
    const tracker = trackerAt(100);
    expect(thrownCode(() => tracker.accept(2))).toBe('BUG');
    tracker.accept(1);
    expect(thrownCode(() => tracker.accept(1))).toBe('BUG');
    expect(thrownCode(() => tracker.accept(3))).toBe('BUG');
  });

  test('never go back from one position to the next', () => {
    const tracker = trackerAt(100);
    tracker.mark(lsn(200), 2);
    expect(thrownCode(() => tracker.mark(lsn(300), 1))).toBe('BUG');
  });

  test('that end in the middle of a transaction confirm nothing of it', () => {
    const tracker = trackerAt(100);
    tracker.accept(1);
    tracker.accept(2);
    expect(confirm(tracker)).toBeNull();
  });
});
