import { createDeferred, type Deferred } from '../core/deferred.ts';
import type { Lsn } from '../core/lsn.ts';
import { ORIGIN, type Position } from '../core/position.ts';
import type { ConfirmTracker } from '../confirm/confirm-tracker.ts';
import { ROLE } from '../decode/outbox-columns.ts';
import type { TransactionHandler } from '../decode/pgoutput-decoder.ts';
import type { StreamRouter } from '../route/stream-router.ts';
import { Batch } from '../sink/batch.ts';
import { TransactionStamp } from '../sink/transaction-stamp.ts';

/**
 * Moves events from the decoder into batches and batches into Redis: decides when a batch is closed, when it is
 * sent, and when reading must pause. Adaptive, and without a timer: when the bytes that had arrived are used up,
 * what is there goes out, unless something is in flight: then it keeps filling, and goes out with the next answer or
 * when it is full. One event alone costs one round trip; under load batches grow by themselves.
 *
 * Owns: the open batch, the queue of closed ones, the chain of positions (I2), the bytes held (I6).
 * Must not know: sockets, SQL, what happens after a failure.
 */
export class Pump implements TransactionHandler {
  readonly #options: PumpOptions;
  readonly #stamp = new TransactionStamp();
  readonly #queue: Batch[] = [];
  readonly #spare: Buffer[] = [];
  #open: Batch | null = null;
  #batchCount = 0;
  #lastPosition: Position;
  #inFlightCount = 0;
  #heldBytes = 0;
  #ordinal = 0;
  /** The slot resends what was not confirmed; what is at or below the watermark stands in Redis already. */
  #isResent: boolean;
  #resentCount = 0;
  #transactionCount = 0;
  #isPaused = false;
  #failure: { readonly error: unknown } | null = null;
  #idle: Deferred<void> | null = null;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#lastPosition = options.watermark;
    this.#isResent = options.watermark.commitLsn > ORIGIN.commitLsn;
  }

  get load(): PumpLoad {
    return { batches: this.#inFlightCount, heldBytes: this.#heldBytes + (this.#open?.byteCount ?? 0) };
  }

  begin(commitLsn: Lsn, committedAtUs: bigint): void {
    this.#options.tracker.begin(commitLsn);
    this.#stamp.set(commitLsn, committedAtUs);
    this.#ordinal = 0;
  }

  insert(bytes: Buffer, starts: Int32Array, lengths: Int32Array): void {
    const ordinal = this.#ordinal;
    this.#ordinal += 1;
    if (this.#isResent) {
      if (this.#isBehindWatermark(ordinal)) {
        this.#resentCount += 1;
        return;
      }
      this.#isResent = false;
    }
    const { router, batchEventsMax, batchBytesMax } = this.#options;
    const stream = router.route(bytes, starts, lengths);
    let open = this.#open;
    if (
      open !== null &&
      (open.eventCount >= batchEventsMax ||
        open.keys.length >= BATCH_KEYS_MAX ||
        open.byteCount + Math.max(0, lengths[ROLE.payload] as number) > batchBytesMax)
    ) {
      this.#close(open);
      open = null;
    }
    open ??= this.#begin();
    open.append(stream, this.#stamp, ordinal, bytes, starts, lengths);
  }

  commit(endLsn: Lsn): void {
    if (this.#ordinal > 0) this.#transactionCount += 1;
    this.#options.tracker.mark(endLsn, this.#batchCount);
  }

  /** Everything before `walEndLsn` was received, by a keepalive outside of a transaction. */
  keepalive(walEndLsn: Lsn): void {
    this.#options.tracker.mark(walEndLsn, this.#batchCount);
  }

  /** The bytes that had arrived are used up. */
  chunkEnd(): void {
    this.#send();
    if (this.#resentCount > 0 || this.#transactionCount > 0) {
      this.#options.observer.read({ transactions: this.#transactionCount, resentEvents: this.#resentCount });
      this.#resentCount = 0;
      this.#transactionCount = 0;
    }
    if (!this.#isPaused && this.#isFull) this.#setPaused(true);
  }

  /** Whether a batch was refused or lost: what follows it will never stand in Redis in this session. */
  get hasFailed(): boolean {
    return this.#failure !== null;
  }

  /**
   * Resolves when every event handed in so far stands in Redis; rejects when one won't. Nothing may be handed in
   * afterwards.
   */
  drain(): Promise<void> {
    this.#idle ??= createDeferred<void>();
    if (this.#failure !== null) this.#idle.reject(this.#failure.error);
    this.#send();
    this.#checkIdle();
    return this.#idle.promise;
  }

  get #isFull(): boolean {
    return (
      this.#queue.length >= this.#options.inFlightBatchesMax || this.#heldBytes >= this.#options.pauseAtBytes
    );
  }

  #isBehindWatermark(ordinal: number): boolean {
    const { watermark } = this.#options;
    const { commitLsn } = this.#stamp;
    return (
      commitLsn < watermark.commitLsn || (commitLsn === watermark.commitLsn && ordinal <= watermark.ordinal)
    );
  }

  #begin(): Batch {
    this.#batchCount += 1;
    const memory =
      this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.#options.batchBytesMax + BATCH_SLACK_BYTES);
    this.#open = new Batch(this.#batchCount, this.#lastPosition, memory);
    return this.#open;
  }

  #close(batch: Batch): void {
    this.#open = null;
    this.#lastPosition = batch.lastPosition;
    this.#heldBytes += batch.capacityBytes;
    this.#queue.push(batch);
  }

  #send(): void {
    while (this.#inFlightCount < this.#options.inFlightBatchesMax && this.#failure === null) {
      // A batch that is not full goes out only when nothing is in flight: while Redis works, the next one grows.
      if (this.#queue.length === 0 && this.#open !== null && this.#inFlightCount === 0)
        this.#close(this.#open);
      const batch = this.#queue.shift();
      if (batch === undefined) return;
      this.#inFlightCount += 1;
      const sentAtMs = performance.now();
      this.#options.append(batch).then(
        ({ skipped }) => this.#accepted(batch, skipped, performance.now() - sentAtMs),
        (error: unknown) => this.#failed(error),
      );
    }
  }

  #accepted(batch: Batch, skipped: number, appendMs: number): void {
    if (this.#failure !== null) return;
    try {
      this.#options.tracker.accept(batch.seq);
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#inFlightCount -= 1;
    this.#heldBytes -= batch.capacityBytes;
    this.#options.observer.accepted({
      events: batch.eventCount - skipped,
      skipped,
      bytes: batch.byteCount,
      appendMs,
      oldestCommittedAtUs: batch.oldestCommittedAtUs,
    });
    // A batch that grew for one large event gives its memory back.
    if (batch.capacityBytes <= this.#options.batchBytesMax + BATCH_SLACK_BYTES)
      this.#spare.push(batch.memory);
    this.#send();
    if (this.#isPaused && this.#queue.length === 0 && !this.#isFull) this.#setPaused(false);
    this.#checkIdle();
  }

  #failed(error: unknown): void {
    if (this.#failure !== null) return;
    this.#failure = { error };
    this.#options.failed(error);
    this.#idle?.reject(error);
  }

  #setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#options.setPaused(isPaused);
  }

  #checkIdle(): void {
    if (this.#idle !== null && this.#inFlightCount === 0 && this.#queue.length === 0 && this.#open === null) {
      this.#idle.resolve();
    }
  }
}

export interface PumpOptions {
  readonly router: StreamRouter;
  readonly tracker: ConfirmTracker;
  /** What Redis held when the fence was raised. */
  readonly watermark: Position;
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly inFlightBatchesMax: number;
  /** Reading pauses when this many bytes are held. */
  readonly pauseAtBytes: number;
  append(batch: Batch): Promise<{ readonly skipped: number }>;
  setPaused(isPaused: boolean): void;
  /** Called once; nothing is sent after it. */
  failed(error: unknown): void;
  readonly observer: PumpObserver;
}

export interface PumpLoad {
  /** Batches in flight. */
  readonly batches: number;
  readonly heldBytes: number;
}

export interface PumpObserver {
  read(facts: { readonly transactions: number; readonly resentEvents: number }): void;
  accepted(facts: AcceptedBatch): void;
}

export interface AcceptedBatch {
  readonly events: number;
  readonly skipped: number;
  readonly bytes: number;
  readonly appendMs: number;
  readonly oldestCommittedAtUs: bigint;
}

/** A script gets its keys as a Lua table and a batch's stream numbers are 16 bits wide. */
const BATCH_KEYS_MAX = 1000;
/** The last event of a batch is appended after the size was looked at; spares a copy in the common case. */
const BATCH_SLACK_BYTES = 16 * 1024;
