import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { ConfirmTracker } from '../../../src/confirm/confirm-tracker.ts';
import { type Lsn, maxLsn, toLsn } from '../../../src/core/lsn.ts';

type Step = (run: Run) => void;

/** A session in the naive: every event and every mark it ever had, looked through on every question. */
class Run {
  readonly tracker: ConfirmTracker;
  readonly events: { commitLsn: Lsn; batch: number }[] = [];
  readonly marks: { lsn: Lsn; batch: number }[] = [];
  readonly startLsn: Lsn;
  readonly startFloorLsn: Lsn;
  walLsn: bigint;
  commitLsn: Lsn | null = null;
  batch = 0;
  isBatchOpen = false;
  acceptedBatch = 0;
  askedLsn: Lsn | null = null;
  verifiedLsn: Lsn;
  pendingFloorLsn: Lsn | null = null;
  notedLsn: Lsn;
  readonly windowMs: number;
  nowMs = 0;
  readonly notes: { lsn: Lsn; atMs: number; isReleased: boolean }[] = [];

  constructor(start: bigint, floorAhead: bigint, windowMs: number) {
    this.startLsn = toLsn(start);
    this.startFloorLsn = toLsn(start + floorAhead);
    this.windowMs = windowMs;
    this.tracker = new ConfirmTracker({
      confirmedLsn: this.startLsn,
      floorLsn: this.startFloorLsn,
      replayWindowMs: windowMs,
    });
    this.walLsn = start;
    this.verifiedLsn = this.startLsn;
    this.notedLsn = this.startLsn;
  }

  mark(lsn: Lsn): void {
    this.tracker.mark(lsn, this.batch);
    this.marks.push({ lsn, batch: this.batch });
  }

  get receivedLsn(): Lsn {
    return this.marks.map(({ lsn }) => lsn).reduce(maxLsn, this.startLsn);
  }

  /** Every event that came before the mark is in a batch that is accepted. */
  get acceptedLsn(): Lsn {
    return this.marks
      .filter(({ batch }) => batch <= this.acceptedBatch)
      .map(({ lsn }) => lsn)
      .reduce(maxLsn, this.startLsn);
  }

  get confirmedLsn(): Lsn {
    return this.notes
      .filter(({ isReleased }) => isReleased)
      .map(({ lsn }) => lsn)
      .reduce(maxLsn, this.startLsn);
  }

  get floorAllowedLsn(): Lsn | null {
    const lsn = this.acceptedLsn < this.verifiedLsn ? this.acceptedLsn : this.verifiedLsn;
    return lsn > this.notedLsn ? lsn : null;
  }
}

const gap = fc.oneof(fc.constant(0n), fc.bigInt({ min: 0n, max: 100n }));

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: gap.map(
      (ahead): Step =>
        (run) =>
          begin(run, ahead),
    ),
  },
  { weight: 8, arbitrary: fc.constant<Step>(event) },
  {
    weight: 6,
    arbitrary: gap.map(
      (ahead): Step =>
        (run) =>
          commit(run, ahead + 1n),
    ),
  },
  {
    weight: 4,
    arbitrary: gap.map(
      (ahead): Step =>
        (run) =>
          keepalive(run, run.walLsn + ahead),
    ),
  },
  {
    weight: 1,
    arbitrary: gap.map(
      (behind): Step =>
        (run) =>
          keepalive(run, run.walLsn - behind),
    ),
  },
  { weight: 4, arbitrary: fc.constant<Step>((run) => void (run.isBatchOpen = false)) },
  { weight: 6, arbitrary: fc.constant<Step>(accept) },
  { weight: 3, arbitrary: fc.constant<Step>((run) => void (run.askedLsn = run.tracker.receivedLsn)) },
  { weight: 3, arbitrary: fc.constant<Step>(verify) },
  { weight: 3, arbitrary: fc.constant<Step>((run) => void (run.pendingFloorLsn = run.tracker.nextFloor)) },
  { weight: 3, arbitrary: fc.constant<Step>(noteFloor) },
  {
    weight: 3,
    arbitrary: fc.integer({ min: 0, max: 40 }).map(
      (passedMs): Step =>
        (run) =>
          release(run, passedMs),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Step>(releaseAll) },
);

test('nothing is confirmed that is not durable, verified and noted, whatever comes in which order', () => {
  const start = fc.bigInt({ min: 1000n, max: 5000n });
  fc.assert(
    fc.property(
      start,
      gap,
      fc.constantFrom(0, 50),
      fc.array(step, { maxLength: 120, size: 'max' }),
      (startLsn, floorAhead, windowMs, steps) => {
        const run = new Run(startLsn, floorAhead, windowMs);
        let before = stagesOf(run.tracker);
        for (const take of steps) {
          take(run);
          const after = stagesOf(run.tracker);
          expect(untruths(run, before, after)).toEqual([]);
          before = after;
        }
      },
    ),
    { numRuns: 150 },
  );
});

interface Stages {
  readonly received: Lsn;
  readonly accepted: Lsn;
  readonly floor: Lsn;
  readonly confirmed: Lsn;
}

function stagesOf({ receivedLsn, acceptedLsn, floorLsn, confirmedLsn }: ConfirmTracker): Stages {
  return { received: receivedLsn, accepted: acceptedLsn, floor: floorLsn, confirmed: confirmedLsn };
}

/** Everything that is wrong now, by name. */
function untruths(run: Run, before: Stages, after: Stages): string[] {
  const { received, accepted, floor, confirmed } = after;
  // The floor may come from an earlier session, ahead of all that this one has seen.
  const ownFloor = maxLsn(run.startLsn, run.notedLsn);
  const sent = new Set([run.startLsn, ...run.marks.map(({ lsn }) => lsn)]);
  const truths = {
    'received is what was marked': received === run.receivedLsn,
    'accepted is what was answered for': accepted === run.acceptedLsn,
    'floor is what was noted': floor === maxLsn(run.startFloorLsn, run.notedLsn),
    'confirmed is what was noted a window ago': confirmed === run.confirmedLsn,
    'the next floor is accepted and verified': run.tracker.nextFloor === run.floorAllowedLsn,
    'confirmed ≤ floor ≤ verified, accepted ≤ received':
      confirmed <= floor && ownFloor <= run.verifiedLsn && ownFloor <= accepted && accepted <= received,
    'nothing goes back':
      received >= before.received &&
      accepted >= before.accepted &&
      floor >= before.floor &&
      confirmed >= before.confirmed,
    // Postgres sends a transaction again as long as its commit LSN is not below what was confirmed.
    'no event is confirmed before it is accepted': run.events.every(
      ({ commitLsn, batch }) => batch <= run.acceptedBatch || commitLsn >= confirmed,
    ),
    'nothing is confirmed that nobody sent, as plus one would be': sent.has(confirmed),
  };
  return Object.entries(truths)
    .filter(([, isTrue]) => !isTrue)
    .map(([truth]) => truth);
}

function begin(run: Run, ahead: bigint): void {
  if (run.commitLsn !== null) return;
  run.walLsn += ahead;
  run.commitLsn = toLsn(run.walLsn);
}

function event(run: Run): void {
  if (run.commitLsn === null) return;
  if (!run.isBatchOpen) run.batch += 1;
  run.isBatchOpen = true;
  run.events.push({ commitLsn: run.commitLsn, batch: run.batch });
}

function commit(run: Run, ahead: bigint): void {
  if (run.commitLsn === null) return;
  run.commitLsn = null;
  run.walLsn += ahead;
  run.mark(toLsn(run.walLsn));
}

function keepalive(run: Run, walEnd: bigint): void {
  if (run.commitLsn !== null) return;
  if (walEnd > run.walLsn) run.walLsn = walEnd;
  run.mark(toLsn(walEnd));
}

function accept(run: Run): void {
  const closedBatch = run.isBatchOpen ? run.batch - 1 : run.batch;
  if (run.acceptedBatch >= closedBatch) return;
  run.acceptedBatch += 1;
  run.tracker.accept(run.acceptedBatch);
}

function verify(run: Run): void {
  if (run.askedLsn === null) return;
  run.tracker.verify(run.askedLsn);
  run.verifiedLsn = maxLsn(run.verifiedLsn, run.askedLsn);
  run.askedLsn = null;
}

function noteFloor(run: Run): void {
  const lsn = run.pendingFloorLsn;
  if (lsn === null) return;
  run.pendingFloorLsn = null;
  run.tracker.noteFloor(lsn, run.nowMs);
  run.notes.push({ lsn, atMs: run.nowMs, isReleased: false });
  run.notedLsn = maxLsn(run.notedLsn, lsn);
}

function release(run: Run, passedMs: number): void {
  run.nowMs += passedMs;
  const before = run.tracker.confirmedLsn;
  for (const note of run.notes) if (note.atMs + run.windowMs <= run.nowMs) note.isReleased = true;
  expect(run.tracker.release(run.nowMs)).toBe(run.confirmedLsn > before);
}

function releaseAll(run: Run): void {
  for (const note of run.notes) note.isReleased = true;
  run.tracker.releaseAll();
}
