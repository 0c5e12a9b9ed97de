import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import type { PollingMetrics } from '../ops/polling-metrics.ts';
import type { PublishBatch, ValueEncoding } from '../sink/publish-batch.ts';
import type { Publisher } from '../sink/publisher.ts';
import { Alarm } from '../core/alarm.ts';
import type { ClaimSize } from './claim-size.ts';
import type { ClaimedRow, PollingConnection } from './polling-connection.ts';

/**
 * Claims rows, publishes them, settles them, commits; again at once while claims come back full, else after the
 * interval or when it is woken. In this order: a row is settled after Redis has accepted it, never before. So nothing is
 * lost, and what was accepted and not committed is published again.
 */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #alarm = new Alarm();
  #isStopRequested = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
  }

  get isSleeping(): boolean {
    return this.#alarm.isSleeping;
  }

  /** There may be something to claim. */
  wake(): void {
    this.#alarm.ring();
  }

  /** Finish the batch in hand, settle and commit what was published, claim no more. */
  requestStop(): void {
    this.#isStopRequested = true;
    this.#alarm.ring();
  }

  /**
   * Resolves after a stop. Rejects with what ended it; of an event that can't pass, after everything before it was
   * committed.
   */
  async run(): Promise<void> {
    const { intervalMs, metrics } = this.#options;
    let next: Promise<Claim> | null = null;
    while (next !== null || !this.#isStopRequested) {
      const claim: Claim = await (next ?? this.#claim());
      ({ next } = await this.#finish(claim));
      if (next !== null || this.#isStopRequested) continue;
      if (await this.#alarm.sleep(intervalMs)) metrics.recordWake();
    }
  }

  async #claim(): Promise<Claim> {
    const limit = this.#options.claimSize.next;
    const sentAtMs = performance.now();
    const rows = await this.#options.postgres.claim(limit);
    const isFull = rows.length === limit;
    this.#options.metrics.recordClaim({
      result: isFull ? 'full' : rows.length === 0 ? 'empty' : 'partial',
      seconds: (performance.now() - sentAtMs) / 1000,
    });
    return { rows, isFull };
  }

  /** Publishes, settles and commits a claim. Hands out the next one, under way already, when more is waiting. */
  async #finish({ rows, isFull }: Claim): Promise<{ readonly next: Promise<Claim> | null }> {
    const { postgres, claimSize } = this.#options;
    // Somebody who sleeps may help with the rest.
    if (isFull) this.#options.foundMore();
    const settled: Promise<void>[] = [];
    const { bytes, failure } = await this.#publish(rows, (accepted) => {
      const settling = postgres.settle(accepted);
      // Awaited below, all of them.
      settling.catch(() => {});
      settled.push(settling);
    });
    if (failure === null) claimSize.observe(rows.length, bytes);
    const committing = postgres.commit();
    committing.catch(() => {});
    // In one write with the commit; published only after that has succeeded.
    const next = isFull && failure === null && !this.#isStopRequested ? this.#claim() : null;
    next?.catch(() => {});
    await Promise.all([...settled, committing]);
    this.#options.committed();
    if (failure !== null) throw failure;
    return { next };
  }

  /**
   * Publishes rows batch by batch, each after the one before it was accepted: of two in flight, the second would pass a
   * refusal in the first. `settle` is handed what was accepted, while the next batch is on its way.
   */
  async #publish(
    rows: readonly ClaimedRow[],
    settle: (accepted: readonly ClaimedRow[]) => void,
  ): Promise<{ readonly bytes: number; readonly failure: WalrelayError | null }> {
    const { batch, publisher, metrics } = this.#options;
    let bytes = 0;
    let from = 0;
    while (from < rows.length && !(this.#isStopRequested && from > 0)) {
      const { end, rowOfEvent, impassable } = this.#fill(rows, from);
      let upTo = end;
      let refused: WalrelayError | null = null;
      if (batch.eventCount > 0) {
        const sentAtMs = performance.now();
        const { accepted, refusal } = await publisher.publish(batch, (event) =>
          this.#idOf(rows[rowOfEvent[event] ?? -1]),
        );
        refused = refusal;
        if (refusal !== null) upTo = rowOfEvent[accepted] ?? from;
        metrics.recordBatch({
          events: accepted,
          bytes: batch.byteCount,
          appendSeconds: (performance.now() - sentAtMs) / 1000,
        });
        bytes += batch.byteCount;
      }
      // Those that a route leaves out are done with as well.
      if (upTo > from) settle(rows.slice(from, upTo));
      from = upTo;
      const failure = refused ?? impassable;
      if (failure !== null) return { bytes, failure };
    }
    return { bytes, failure: null };
  }

  /** Fills the batch with rows from `from` on. `impassable`: what keeps the row at `end` from ever passing. */
  #fill(rows: readonly ClaimedRow[], from: number): FilledBatch {
    const { batch, placeCount } = this.#options;
    const rowOfEvent: number[] = [];
    batch.clear();
    for (let index = from; index < rows.length; index += 1) {
      const row = rows[index] as ClaimedRow;
      try {
        const added = batch.add(row, placeCount);
        if (added === 'full') return { end: index, rowOfEvent, impassable: null };
        if (added === 'added') rowOfEvent.push(index);
      } catch (thrown) {
        const error = toWalrelayError(thrown);
        if (error.disposition !== 'poison') throw error;
        const eventId = this.#idOf(row);
        const impassable = new WalrelayError(error.code, `${error.message} (event ${eventId})`, {
          facts: { eventId },
        });
        return { end: index, rowOfEvent, impassable };
      }
    }
    return { end: rows.length, rowOfEvent, impassable: null };
  }

  #idOf(row: ClaimedRow | undefined): string {
    const { placeCount, idSlots, encodings } = this.#options;
    const parts = idSlots.map((slot) => {
      const value = row?.[placeCount + slot] ?? null;
      if (value === null) return null;
      return encodings[slot] === 'hex' ? Buffer.from(value, 'hex').toString() : value;
    });
    return parts.includes(null) ? '(NULL)' : parts.join(':').slice(0, 100);
  }
}

interface FilledBatch {
  /** The row at which it was full. */
  readonly end: number;
  readonly rowOfEvent: readonly number[];
  readonly impassable: WalrelayError | null;
}

interface Claim {
  readonly rows: readonly ClaimedRow[];
  /** As many as were asked for: more may be waiting. */
  readonly isFull: boolean;
}

export interface WorkerOptions {
  readonly postgres: PollingConnection;
  readonly publisher: Publisher;
  readonly batch: PublishBatch;
  /** For each slot of a row's values. */
  readonly encodings: readonly ValueEncoding[];
  readonly idSlots: readonly number[];
  /** Where in a claimed row its values begin. */
  readonly placeCount: number;
  readonly claimSize: ClaimSize;
  readonly intervalMs: number;
  readonly metrics: PollingMetrics;
  /** A claim came back full. */
  foundMore(): void;
  /** A claim was committed, an empty one too. */
  committed(): void;
}
