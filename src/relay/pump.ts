import { createDeferred, type Deferred } from '../core/deferred.ts';
import type { Lsn } from '../core/lsn.ts';
import type { ConfirmTracker } from '../confirm/confirm-tracker.ts';
import type { TuplePlan } from '../decode/outbox-columns.ts';
import type { TransactionHandler } from '../decode/pgoutput-decoder.ts';
import type { EventRouter } from '../route/outbox.ts';
import type { Stream } from '../route/stream-router.ts';
import { Batch } from '../sink/batch.ts';
import type { AppendLane } from '../sink/lane-set.ts';
import { checkComposedSize } from '../sink/composed-size.ts';
import type { PackedShape, PackedShapes } from '../sink/packed-shapes.ts';
import { TransactionStamp } from '../sink/transaction-stamp.ts';
import type { DeadLetter, DeadLetterDesk } from './dead-letter-desk.ts';
import { Outlet } from './outlet.ts';
import type { PumpObserver } from './pump-observer.ts';

/**
 * Moves events from the decoder into batches and batches into Redis: decides when a batch is closed, when it is
 * sent, and when reading must pause. Adaptive, and without a timer: when the bytes that had arrived are used up,
 * what is there goes out, unless something of its lane is in flight: then it keeps filling, and goes out with the next
 * answer or when it is full. One event alone costs one round trip; under load batches grow by themselves.
 *
 * Owns: the outlets, one for each lane, the numbers of the batches, the bytes held (I6).
 * Must not know: sockets, SQL, what happens after a failure.
 */
export class Pump implements TransactionHandler {
  readonly #options: PumpOptions;
  readonly #stamp = new TransactionStamp();
  /** By the number of the lane. */
  readonly #outlets: Outlet[] = [];
  /** The one lane of a single Redis: what stands in it is known before an event is routed. */
  readonly #only: Outlet | null;
  /** Outlets whose batch is being filled. */
  readonly #filling = new Set<Outlet>();
  readonly #spare: Buffer[] = [];
  /** Batches accepted before one that was begun earlier, in another lane. */
  readonly #acceptedAhead = new Set<number>();
  /** The dead letters of batches that are not accepted yet, by the batch's number. */
  readonly #letters = new Map<number, DeadLetter[]>();
  #batchCount = 0;
  #acceptedCount = 0;
  #inFlightCount = 0;
  #queuedCount = 0;
  #heldBytes = 0;
  #ordinal = 0;
  #resentCount = 0;
  #filteredCount = 0;
  #transactionCount = 0;
  #isPaused = false;
  #failure: { readonly error: unknown } | null = null;
  #idle: Deferred<void> | null = null;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.#only = options.isSingleLane ? this.#outletOf(0) : null;
  }

  get load(): PumpLoad {
    return { batches: this.#inFlightCount, heldBytes: this.#heldBytes };
  }

  begin(commitLsn: Lsn, committedAtUs: bigint): void {
    this.#options.tracker.begin(commitLsn);
    this.#stamp.set(commitLsn, committedAtUs);
    this.#ordinal = 0;
  }

  insert(bytes: Buffer, starts: Int32Array, lengths: Int32Array, plan: TuplePlan): void {
    const ordinal = this.#ordinal;
    this.#ordinal += 1;
    const { commitLsn } = this.#stamp;
    if (this.#only !== null && this.#only.isBehindWatermark(commitLsn, ordinal)) {
      this.#resentCount += 1;
      return;
    }
    const { routers, shapes, desk, eventBytesMax } = this.#options;
    let stream: Stream | null;
    try {
      desk?.checkRefused(commitLsn, ordinal);
      stream = (routers[plan.outbox] as EventRouter).route(bytes, starts, lengths);
    } catch (error) {
      this.#takeAside(error, plan, ordinal, bytes, starts, lengths);
      return;
    }
    if (stream === null) {
      this.#filteredCount += 1;
      return;
    }
    const outlet = this.#only ?? this.#outletOf(stream.lane);
    if (this.#only === null && outlet.isBehindWatermark(commitLsn, ordinal)) {
      this.#resentCount += 1;
      return;
    }
    const shape = shapes.shapes[stream.shape] as PackedShape;
    if (shape.pieces.length > 0) {
      const event = { bytes, starts, lengths, kinds: plan.kinds, transaction: this.#stamp, ordinal };
      try {
        checkComposedSize(shape, event, eventBytesMax, stream.name);
      } catch (error) {
        this.#takeAside(error, plan, ordinal, bytes, starts, lengths);
        return;
      }
    }
    this.#append(outlet, stream, ordinal, bytes, starts, lengths, plan.kinds);
  }

  /** A message that can't be read: it has its place among the events, and can't pass. */
  malformed(error: unknown, bytes: Buffer, start: number, length: number, plan: TuplePlan): void {
    const ordinal = this.#ordinal;
    this.#ordinal += 1;
    if (this.#only !== null && this.#only.isBehindWatermark(this.#stamp.commitLsn, ordinal)) {
      this.#resentCount += 1;
      return;
    }
    this.#takeAside(error, plan, ordinal, bytes, Int32Array.of(start), Int32Array.of(length), {
      start,
      length,
    });
  }

  /** An event that can't pass becomes one of the dead letters, in its place; or nothing passes any more. */
  #takeAside(
    error: unknown,
    { outbox, kinds }: TuplePlan,
    ordinal: number,
    bytes: Buffer,
    starts: Int32Array,
    lengths: Int32Array,
    content?: { readonly start: number; readonly length: number },
  ): void {
    const { desk } = this.#options;
    if (desk === null) throw error;
    const stream = desk.streamFor(error);
    const outlet = this.#only ?? this.#outletOf(stream.lane);
    if (outlet.isBehindWatermark(this.#stamp.commitLsn, ordinal)) {
      this.#resentCount += 1;
      return;
    }
    const event = { outbox, kinds, stamp: this.#stamp, ordinal, bytes, starts, lengths };
    const letter = desk.write(error, content === undefined ? event : { ...event, content });
    const { packed } = letter;
    this.#append(outlet, stream, ordinal, packed, Int32Array.of(0), Int32Array.of(packed.length), []);
    const { seq } = outlet.open as Batch;
    const ofBatch = this.#letters.get(seq);
    if (ofBatch === undefined) this.#letters.set(seq, [letter]);
    else ofBatch.push(letter);
  }

  #append(
    outlet: Outlet,
    stream: Stream,
    ordinal: number,
    bytes: Buffer,
    starts: Int32Array,
    lengths: Int32Array,
    kinds: TuplePlan['kinds'],
  ): void {
    const { shapes, batchEventsMax, batchBytesMax } = this.#options;
    const shape = shapes.shapes[stream.shape] as PackedShape;
    let open = outlet.open;
    if (
      open !== null &&
      (open.eventCount >= batchEventsMax ||
        open.keys.length >= BATCH_KEYS_MAX ||
        open.byteCount + valueBytes(shape, lengths) > batchBytesMax)
    ) {
      this.#close(outlet, open);
      open = null;
    }
    open ??= this.#begin(outlet);
    const before = open.capacityBytes;
    open.append(stream, this.#stamp, ordinal, bytes, starts, lengths, kinds);
    this.#heldBytes += open.capacityBytes - before;
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
    for (const outlet of this.#filling) this.#send(outlet);
    if (this.#resentCount > 0 || this.#transactionCount > 0 || this.#filteredCount > 0) {
      this.#options.observer.read({
        transactions: this.#transactionCount,
        resentEvents: this.#resentCount,
        filteredEvents: this.#filteredCount,
      });
      this.#resentCount = 0;
      this.#filteredCount = 0;
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
    for (const outlet of this.#filling) this.#send(outlet);
    this.#checkIdle();
    return this.#idle.promise;
  }

  /** So many batches wait that more would only take memory, or the memory is used up. */
  get #isFull(): boolean {
    const { inFlightBatchesMax, pauseAtBytes } = this.#options;
    // Before the first event there is no outlet, and nothing that could ever resume the reading.
    const queueMax = inFlightBatchesMax * Math.max(1, this.#outlets.length);
    return this.#queuedCount >= queueMax || this.#heldBytes >= pauseAtBytes;
  }

  #outletOf(lane: number): Outlet {
    return (this.#outlets[lane] ??= new Outlet(this.#options.lane(lane)));
  }

  #begin(outlet: Outlet): Batch {
    this.#batchCount += 1;
    // With many lanes each batch begins small: a buffer of full size for each would take the budget.
    const bytes = this.#only === null ? LANE_BATCH_BYTES : this.#options.batchBytesMax + BATCH_SLACK_BYTES;
    const memory = this.#spare.pop() ?? Buffer.allocUnsafeSlow(bytes);
    const batch = new Batch(this.#batchCount, outlet.lastPosition, memory, this.#options.shapes);
    this.#heldBytes += batch.capacityBytes;
    outlet.open = batch;
    this.#filling.add(outlet);
    return batch;
  }

  #close(outlet: Outlet, batch: Batch): void {
    outlet.open = null;
    this.#filling.delete(outlet);
    outlet.lastPosition = batch.lastPosition;
    outlet.queue.push(batch);
    this.#queuedCount += 1;
    this.#send(outlet);
  }

  #send(outlet: Outlet): void {
    while (outlet.inFlightCount < this.#options.inFlightBatchesMax && this.#failure === null) {
      // A batch that is not full goes out only when nothing is in flight: while Redis works, the next one grows.
      if (outlet.queue.length === 0 && outlet.open !== null && outlet.inFlightCount === 0) {
        this.#close(outlet, outlet.open);
        return;
      }
      const batch = outlet.queue.shift();
      if (batch === undefined) return;
      this.#queuedCount -= 1;
      this.#inFlightCount += 1;
      outlet.inFlightCount += 1;
      const sentAtMs = performance.now();
      outlet.append(batch).then(
        ({ skipped }) => this.#accepted(outlet, batch, skipped, performance.now() - sentAtMs),
        (error: unknown) => this.#failed(error),
      );
    }
  }

  #accepted(outlet: Outlet, batch: Batch, skipped: number, appendMs: number): void {
    if (this.#failure !== null) return;
    try {
      this.#acceptInOrder(batch.seq);
    } catch (error) {
      this.#failed(error);
      return;
    }
    this.#inFlightCount -= 1;
    outlet.inFlightCount -= 1;
    this.#heldBytes -= batch.capacityBytes;
    this.#options.observer.accepted({
      events: batch.eventCount - skipped,
      skipped,
      bytes: batch.byteCount,
      appendMs,
      oldestCommittedAtUs: batch.oldestCommittedAtUs,
    });
    for (const letter of this.#letters.get(batch.seq) ?? []) {
      this.#options.desk?.settled(letter);
      this.#options.observer.deadLettered(letter.facts);
    }
    this.#letters.delete(batch.seq);
    // A batch that grew for one large event gives its memory back.
    if (
      batch.capacityBytes <= this.#options.batchBytesMax + BATCH_SLACK_BYTES &&
      this.#spare.length < SPARE_MAX
    )
      this.#spare.push(batch.memory);
    this.#send(outlet);
    if (this.#isPaused && this.#queuedCount < this.#outlets.length && !this.#isFull) this.#setPaused(false);
    this.#checkIdle();
  }

  /** Lanes answer when they like; what is confirmed goes by the order in which the batches were begun. */
  #acceptInOrder(seq: number): void {
    const { tracker } = this.#options;
    if (seq !== this.#acceptedCount + 1) {
      this.#acceptedAhead.add(seq);
      return;
    }
    do {
      this.#acceptedCount += 1;
      tracker.accept(this.#acceptedCount);
    } while (this.#acceptedAhead.delete(this.#acceptedCount + 1));
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
    if (
      this.#idle !== null &&
      this.#inFlightCount === 0 &&
      this.#queuedCount === 0 &&
      this.#filling.size === 0
    )
      this.#idle.resolve();
  }
}

/** About how much an event adds to a batch. */
function valueBytes({ slots }: PackedShape, lengths: Int32Array): number {
  let bytes = 0;
  for (let index = 0; index < slots.length; index += 1) {
    const length = lengths[slots[index] as number] as number;
    if (length > 0) bytes += length;
  }
  return bytes;
}

export interface PumpOptions {
  /** One for each outbox. */
  readonly routers: readonly EventRouter[];
  readonly shapes: PackedShapes;
  /** Where events go that can't pass; null: the pump stops in front of them. */
  readonly desk: DeadLetterDesk | null;
  readonly tracker: ConfirmTracker;
  /** Whether every stream is of one lane, and so of lane 0. */
  readonly isSingleLane: boolean;
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly eventBytesMax: number;
  /** Of one lane. */
  readonly inFlightBatchesMax: number;
  /** Reading pauses when this many bytes are held. */
  readonly pauseAtBytes: number;
  /** The lane of a number that the router gave a stream. */
  lane(number: number): AppendLane;
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

/** A script gets its keys as a Lua table and a batch's stream numbers are 16 bits wide. */
const BATCH_KEYS_MAX = 1000;
/** The last event of a batch is appended after the size was looked at; spares a copy in the common case. */
const BATCH_SLACK_BYTES = 16 * 1024;
const LANE_BATCH_BYTES = 16 * 1024;
const SPARE_MAX = 16;
