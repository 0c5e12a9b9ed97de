import { formatLsn, type Lsn, maxLsn, ZERO_LSN } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';

/**
 * Decides what may be confirmed to Postgres (I4, I5). Pure: no clock, no I/O.
 *
 * A position goes through four stages, each a running maximum, each never ahead of the one before it:
 *
 *   received  Postgres sent it on this connection
 *   durable   every event of every transaction that ends at or before it is in Redis
 *   verified  the catalog was seen unchanged after it was received: nothing before it was silently left out
 *   floor     noted in Redis, so that a Redis which loses it can be told from one that never had it
 *   confirmed Postgres was told
 *
 * Memory: one mark per batch that is not accepted yet, whatever the number of transactions.
 */
export class ConfirmTracker {
  #receivedLsn: Lsn;
  #durableLsn: Lsn;
  #verifiedLsn: Lsn;
  #floorLsn: Lsn;
  #confirmedLsn: Lsn;
  #acceptedBatch = 0;
  #lastMarkLsn: Lsn = ZERO_LSN;
  readonly #marks: Mark[] = [];

  /** `confirmedLsn`: the slot's confirmed_flush; `floorLsn`: what Redis holds. Throws when floor < confirmed. */
  constructor(start: { readonly confirmedLsn: Lsn; readonly floorLsn: Lsn }) {
    if (start.floorLsn < start.confirmedLsn)
      throw broken('floor behind confirmed', start.floorLsn, start.confirmedLsn);
    this.#receivedLsn = start.confirmedLsn;
    this.#durableLsn = start.confirmedLsn;
    this.#verifiedLsn = start.confirmedLsn;
    this.#floorLsn = start.floorLsn;
    this.#confirmedLsn = start.confirmedLsn;
  }

  get receivedLsn(): Lsn {
    return this.#receivedLsn;
  }

  get durableLsn(): Lsn {
    return this.#durableLsn;
  }

  get floorLsn(): Lsn {
    return this.#floorLsn;
  }

  get confirmedLsn(): Lsn {
    return this.#confirmedLsn;
  }

  /** Whether anything received still waits for its confirmation. */
  get isSettled(): boolean {
    return this.#marks.length === 0 && this.#confirmedLsn >= this.#receivedLsn;
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
      this.#durableLsn = maxLsn(this.#durableLsn, lsn);
      return;
    }
    const last = this.#marks.at(-1);
    if (last !== undefined && last.batch > batch) throw new WalrelayError('BUG', 'a mark for an older batch');
    if (last !== undefined && last.batch === batch) last.lsn = lsn;
    else this.#marks.push({ lsn, batch });
  }

  /** Batch `batch` is durable in Redis. Batches are numbered from 1 and accepted in order. */
  accept(batch: number): void {
    if (batch !== this.#acceptedBatch + 1) {
      throw new WalrelayError('BUG', `batch ${batch} accepted after batch ${this.#acceptedBatch}`);
    }
    this.#acceptedBatch = batch;
    const first = this.#marks[0];
    if (first !== undefined && first.batch === batch) {
      this.#marks.shift();
      this.#durableLsn = maxLsn(this.#durableLsn, first.lsn);
    }
  }

  /** The catalog was seen unchanged by a query that was sent when `lsn` had been received. */
  verify(lsn: Lsn): void {
    if (lsn > this.#receivedLsn) throw broken('verified ahead of received', lsn, this.#receivedLsn);
    this.#verifiedLsn = maxLsn(this.#verifiedLsn, lsn);
  }

  /** What may be noted as the floor now, or null when nothing new may. */
  get nextFloor(): Lsn | null {
    const lsn = this.#durableLsn < this.#verifiedLsn ? this.#durableLsn : this.#verifiedLsn;
    return lsn > this.#confirmedLsn ? lsn : null;
  }

  /** Redis holds `lsn` as the floor: from here on Postgres may be told. Returns whether there is news for it. */
  noteFloor(lsn: Lsn): boolean {
    if (lsn > this.#durableLsn) throw broken('floor ahead of durable', lsn, this.#durableLsn);
    if (lsn > this.#verifiedLsn) throw broken('floor ahead of verified', lsn, this.#verifiedLsn);
    if (lsn > this.#receivedLsn) throw broken('floor ahead of received', lsn, this.#receivedLsn);
    this.#floorLsn = maxLsn(this.#floorLsn, lsn);
    if (lsn <= this.#confirmedLsn) return false;
    this.#confirmedLsn = lsn;
    return true;
  }
}

interface Mark {
  lsn: Lsn;
  readonly batch: number;
}

function broken(what: string, a: Lsn, b: Lsn): WalrelayError {
  return new WalrelayError('BUG', `${what}: ${formatLsn(a)}, ${formatLsn(b)}`);
}
