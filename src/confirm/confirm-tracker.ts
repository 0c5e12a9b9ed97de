import { formatLsn, type Lsn, maxLsn, ZERO_LSN } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';

/**
 * Decides what may be confirmed to Postgres (I4, I5). Pure: no clock, no I/O.
 *
 * A position goes through these stages, each a running maximum, each never ahead of the one before it:
 *
 *   received  Postgres sent it on this connection
 *   accepted  Redis has answered for every event of every transaction that ends at or before it
 *   verified  the catalog was seen unchanged after it was received: nothing before it was silently left out
 *   floor     noted in Redis, and durable there: a Redis which loses it can be told from one that never had it
 *   confirmed Postgres was told, the replay window after the floor was noted: a Redis that comes back without what it
 *             was told in that time lacks nothing that Postgres has forgotten
 *
 * Memory: one mark per batch that is not accepted yet, whatever the number of transactions; one hold per noted floor of
 * the replay window.
 */
export class ConfirmTracker {
  #receivedLsn: Lsn;
  #acceptedLsn: Lsn;
  #verifiedLsn: Lsn;
  #floorLsn: Lsn;
  /** The newest floor that this session noted; what it may note next lies behind it. */
  #notedLsn: Lsn;
  #confirmedLsn: Lsn;
  readonly #replayWindowMs: number;
  /** Noted floors that Postgres is not told yet, oldest first. */
  readonly #holds: Hold[] = [];
  #acceptedBatch = 0;
  #lastMarkLsn: Lsn = ZERO_LSN;
  readonly #marks: Mark[] = [];

  /** `confirmedLsn`: the slot's confirmed_flush; `floorLsn`: what Redis holds. Throws when floor < confirmed. */
  constructor(start: TrackerStart) {
    if (start.floorLsn < start.confirmedLsn)
      throw broken('floor behind confirmed', start.floorLsn, start.confirmedLsn);
    this.#receivedLsn = start.confirmedLsn;
    this.#acceptedLsn = start.confirmedLsn;
    this.#verifiedLsn = start.confirmedLsn;
    this.#floorLsn = start.floorLsn;
    this.#notedLsn = start.confirmedLsn;
    this.#confirmedLsn = start.confirmedLsn;
    this.#replayWindowMs = start.replayWindowMs;
  }

  get receivedLsn(): Lsn {
    return this.#receivedLsn;
  }

  get acceptedLsn(): Lsn {
    return this.#acceptedLsn;
  }

  get floorLsn(): Lsn {
    return this.#floorLsn;
  }

  get confirmedLsn(): Lsn {
    return this.#confirmedLsn;
  }

  /**
   * A transaction begins whose commit record starts at `commitLsn`. It must lie behind everything that was marked:
   * a mark says that nothing before it is still to come.
   */
  begin(commitLsn: Lsn): void {
    if (commitLsn < this.#lastMarkLsn)
      throw broken('a commit behind a position that was received', commitLsn, this.#lastMarkLsn);
  }

  /**
   * Everything before `lsn` was received, and its newest event is in batch `batch` (0: there was none yet).
   * `lsn` is a transaction's end, or a keepalive's walEnd outside of a transaction.
   */
  mark(lsn: Lsn, batch: number): void {
    // After a reconnect walEnd can lie below confirmed_flush, and keepalives can repeat: keep a running maximum.
    if (lsn <= this.#lastMarkLsn) return;
    this.#lastMarkLsn = lsn;
    this.#receivedLsn = maxLsn(this.#receivedLsn, lsn);
    if (batch <= this.#acceptedBatch) {
      this.#acceptedLsn = maxLsn(this.#acceptedLsn, lsn);
      return;
    }
    const last = this.#marks.at(-1);
    if (last !== undefined && last.batch > batch) throw new WalrelayError('BUG', 'a mark for an older batch');
    if (last !== undefined && last.batch === batch) last.lsn = lsn;
    else this.#marks.push({ lsn, batch });
  }

  /** Redis has answered for batch `batch`. Batches are numbered from 1 and accepted in order. */
  accept(batch: number): void {
    if (batch !== this.#acceptedBatch + 1) {
      throw new WalrelayError('BUG', `batch ${batch} accepted after batch ${this.#acceptedBatch}`);
    }
    this.#acceptedBatch = batch;
    const first = this.#marks[0];
    if (first !== undefined && first.batch === batch) {
      this.#marks.shift();
      this.#acceptedLsn = maxLsn(this.#acceptedLsn, first.lsn);
    }
  }

  /** The catalog was seen unchanged by a query that was sent when `lsn` had been received. */
  verify(lsn: Lsn): void {
    if (lsn > this.#receivedLsn) throw broken('verified ahead of received', lsn, this.#receivedLsn);
    this.#verifiedLsn = maxLsn(this.#verifiedLsn, lsn);
  }

  /** What may be noted as the floor now, or null when nothing new may. */
  get nextFloor(): Lsn | null {
    const lsn = this.#acceptedLsn < this.#verifiedLsn ? this.#acceptedLsn : this.#verifiedLsn;
    return lsn > this.#notedLsn ? lsn : null;
  }

  /** Redis holds `lsn` as the floor, durably, since `nowMs` at the latest. From a clock that never goes back. */
  noteFloor(lsn: Lsn, nowMs: number): void {
    if (lsn > this.#acceptedLsn) throw broken('floor ahead of accepted', lsn, this.#acceptedLsn);
    if (lsn > this.#verifiedLsn) throw broken('floor ahead of verified', lsn, this.#verifiedLsn);
    if (lsn > this.#receivedLsn) throw broken('floor ahead of received', lsn, this.#receivedLsn);
    this.#floorLsn = maxLsn(this.#floorLsn, lsn);
    if (lsn <= this.#notedLsn) return;
    this.#notedLsn = lsn;
    this.#holds.push({ lsn, untilMs: nowMs + this.#replayWindowMs });
  }

  /** Whether `release` would bring news. */
  isDue(nowMs: number): boolean {
    return this.#holds[0] !== undefined && this.#holds[0].untilMs <= nowMs;
  }

  /** The replay window has passed for what was noted that long ago. Returns whether there is news for Postgres. */
  release(nowMs: number): boolean {
    let isNews = false;
    while (this.isDue(nowMs)) {
      this.#confirmedLsn = (this.#holds.shift() as Hold).lsn;
      isNews = true;
    }
    return isNews;
  }

  /** Drops the replay window for what is noted: a primary that shuts down waits for it. */
  releaseAll(): void {
    const last = this.#holds.at(-1);
    if (last === undefined) return;
    this.#holds.length = 0;
    this.#confirmedLsn = last.lsn;
  }
}

export interface TrackerStart {
  readonly confirmedLsn: Lsn;
  readonly floorLsn: Lsn;
  /** How long Postgres keeps what is durable in Redis, milliseconds. */
  readonly replayWindowMs: number;
}

interface Hold {
  readonly lsn: Lsn;
  readonly untilMs: number;
}

interface Mark {
  lsn: Lsn;
  readonly batch: number;
}

function broken(what: string, a: Lsn, b: Lsn): WalrelayError {
  return new WalrelayError('BUG', `${what}: ${formatLsn(a)}, ${formatLsn(b)}`);
}
