import type { Settings } from '../config/settings.ts';
import type { ConfirmTracker } from '../confirm/confirm-tracker.ts';
import { createDeferred } from '../core/deferred.ts';
import { formatLsn, type Lsn, readLsn } from '../core/lsn.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import { PgoutputDecoder } from '../decode/pgoutput-decoder.ts';
import type { Logger } from '../ops/logger.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import { postgresTimeToUnixMs } from '../sink/commit-time.ts';
import type { LaneSet } from '../sink/lane-set.ts';
import type { RedisNodes } from '../sink/redis-nodes.ts';
import type { Catalog } from '../source/catalog.ts';
import type { CatalogWatch } from '../source/catalog-watch.ts';
import type { ReplicationConnection } from '../source/replication-connection.ts';
import {
  KEEPALIVE,
  KEEPALIVE_BYTES,
  XLOG_DATA,
  XLOG_DATA_HEADER_BYTES,
} from '../source/walsender-message.ts';
import type { CatalogGuard } from './catalog-guard.ts';
import { computeLiveness, type Liveness } from './liveness.ts';
import { DeadLetterDesk } from './dead-letter-desk.ts';
import { MessageIntake } from './message-intake.ts';
import type { PoisonPolicy } from './poison-policy.ts';
import { Pump } from './pump.ts';
import { RelationFinder } from './relation-finder.ts';
import type { RelayShape } from './relay-shape.ts';
import { ReplyLimiter } from './reply-limiter.ts';
import type { StreamCensus } from './stream-census.ts';

/**
 * The streaming part of a session: frames go decoder → pump → lane; permission to forget comes back through one
 * function, `#confirm`. Owns the timers. The first trouble resolves `ended`; nothing is confirmed after that unless
 * the session drains.
 */
export class Streaming {
  readonly #options: StreamingOptions;
  readonly #tracker: ConfirmTracker;
  readonly #pump: Pump;
  readonly #decoder: PgoutputDecoder;
  readonly #relations: RelationFinder;
  /** Null: no outbox is made of messages, and none are asked for. */
  readonly #messages: MessageIntake | null;
  readonly #liveness: Liveness;
  readonly #replies = new ReplyLimiter();
  readonly #ended = createDeferred<WalrelayError>();
  readonly #timers: NodeJS.Timeout[] = [];
  #lastHeardMs = performance.now();
  #lastAcceptedMs = 0;
  #resumedAtMs = 0;
  #replyTimer: NodeJS.Timeout | null = null;
  #confirming: Promise<void> | null = null;
  #isPaused = false;
  #isReading = true;

  constructor(options: StreamingOptions) {
    const { settings, shape, tracker, lanes } = options;
    this.#options = options;
    this.#tracker = tracker;
    this.#liveness = computeLiveness(settings, options.walSenderTimeoutMs);
    this.#pump = new Pump({
      routers: shape.createRouters({
        laneOf: (stream) => {
          options.routed(stream);
          return lanes.laneOf(stream);
        },
        admit: (stream) => options.census?.admit(stream),
      }),
      shapes: shape.appending.shapes,
      desk:
        shape.letterShape === null
          ? null
          : new DeadLetterDesk({
              policy: options.policy,
              base: settings.deadLetterStream,
              isCluster: settings.redisMode === 'cluster',
              shape: shape.letterShape,
              outboxes: shape.outboxes,
              laneOf: (stream) => lanes.laneOf(stream),
            }),
      tracker,
      isSingleLane: settings.redisMode !== 'cluster',
      batchEventsMax: settings.batchEventsMax,
      batchBytesMax: settings.batchBytesMax,
      eventBytesMax: settings.eventBytesMax,
      inFlightBatchesMax: settings.inFlightBatchesMax,
      pauseAtBytes: settings.memoryBudgetBytes - settings.eventBytesMax,
      lane: (number) => lanes.lane(number),
      setPaused: (isPaused) => this.#setPaused(isPaused),
      failed: (error) => this.#end(error),
      observer: {
        read: ({ transactions, resentEvents, filteredEvents }) => {
          if (filteredEvents > 0) options.metrics.recordFilteredEvents(filteredEvents);
          if (transactions > 0) options.metrics.recordTransactions(transactions);
          if (resentEvents > 0) options.metrics.recordResentEvents(resentEvents);
        },
        accepted: ({ events, skipped, bytes, appendMs, oldestCommittedAtUs }) => {
          options.progressed();
          this.#lastAcceptedMs = performance.now();
          if (skipped > 0) options.metrics.recordResentEvents(skipped);
          options.metrics.recordBatch({
            events,
            bytes,
            appendSeconds: appendMs / 1000,
            oldestCommitAgeSeconds: (Date.now() - postgresTimeToUnixMs(oldestCommittedAtUs)) / 1000,
          });
        },
        deadLettered: (facts) => {
          options.metrics.recordDeadLetter(facts.reason);
          options.logger.warn(facts, 'an event went to the dead letters');
        },
      },
    });
    this.#messages = MessageIntake.create(shape, this.#pump, options);
    this.#relations = new RelationFinder(shape, options.catalog);
    this.#decoder = new PgoutputDecoder(this.#relations, this.#pump, this.#messages);
  }

  /** Resolves with the first reason to stop streaming. Never rejects. */
  get ended(): Promise<WalrelayError> {
    return this.#ended.promise;
  }

  /** When a server last gave a sign: a message from Postgres, a batch accepted by Redis. performance.now(). */
  get lastSignMs(): number {
    return Math.max(this.#lastHeardMs, this.#lastAcceptedMs);
  }

  /** Resolves when Postgres has switched to streaming. */
  async start(): Promise<void> {
    const { settings, postgres, redis, watch, census } = this.#options;
    void postgres.ended.then((error) => this.#end(error));
    void redis.ended.then((error) => this.#end(error));
    void census?.failed.then((error) => this.#end(error));
    void watch.ended.then((error) => this.#end(error));
    await postgres.start({
      slot: settings.slot,
      publication: settings.publication,
      hasMessages: this.#messages !== null,
      rowBytesMax: settings.eventBytesMax,
      large: this.#messages ?? undefined,
      copyData: (bytes, start, end) => this.#copyData(bytes, start, end),
      chunkEnd: () => this.#chunkEnd(),
      failed: (error) => {
        this.#stopReading();
        this.#end(error);
      },
    });
    this.#sendStatus({ isReplyRequested: false });
    this.#every(settings.watchIntervalMs, () => this.#confirmSoon());
    this.#every(this.#liveness.statusIntervalMs, () => this.#checkLiveness());
    this.#every(GAUGES_INTERVAL_MS, () => this.#showLoad());
  }

  /**
   * Reads no more; awaits what is in flight; confirms it; says goodbye to Postgres. Throws DRAIN_TIMEOUT when that
   * takes longer than allowed, and whatever else goes wrong: nothing unconfirmed is lost by that.
   */
  async drain(reason: WalrelayError): Promise<void> {
    const { settings, postgres, redis, logger } = this.#options;
    this.#stopReading();
    const timeout = createDeferred<never>();
    const timer = setTimeout(
      () =>
        timeout.reject(
          new WalrelayError('DRAIN_TIMEOUT', `not drained within ${settings.drainTimeoutMs} ms`),
        ),
      settings.drainTimeoutMs,
    );
    const failed = createDeferred<never>();
    void redis.ended.then((error) => failed.reject(error));
    failed.promise.catch(() => {});
    timeout.promise.catch(() => {});
    try {
      // A refused event ends the session with its batch: there is nothing to wait for behind it.
      if (!this.#pump.hasFailed) await Promise.race([this.#pump.drain(), timeout.promise, failed.promise]);
      // A primary that shuts down answers no more queries: what was verified is confirmed, the rest comes again.
      await Promise.race([
        this.#confirmInTurn(reason.code !== 'PG_SHUTDOWN'),
        timeout.promise,
        failed.promise,
      ]);
      // And it waits for its last byte to be confirmed, whatever the replay window.
      if (reason.code === 'PG_SHUTDOWN') this.#tracker.releaseAll();
      this.#sendStatus({ isReplyRequested: false });
      await postgres.close(GOODBYE_TIMEOUT_MS);
      logger.info({ confirmed: formatLsn(this.#tracker.confirmedLsn) }, 'drained');
    } finally {
      clearTimeout(timer);
      this.#stopTimers();
    }
  }

  #copyData(bytes: Buffer, start: number, end: number): void {
    if (!this.#isReading) return;
    switch (bytes[start]) {
      case XLOG_DATA:
        if (end - start <= XLOG_DATA_HEADER_BYTES) throw new WalrelayError('PG_PROTOCOL', 'a short XLogData');
        this.#decoder.decode(bytes, start + XLOG_DATA_HEADER_BYTES, end);
        break;
      case KEEPALIVE:
        if (end - start !== KEEPALIVE_BYTES)
          throw new WalrelayError('PG_PROTOCOL', `a keepalive of ${end - start} bytes`);
        this.#keepalive(readLsn(bytes, start + 1), bytes[start + 17] === 1);
        break;
      default:
        throw new WalrelayError('PG_PROTOCOL', `the walsender sent an unknown message (${bytes[start]})`);
    }
  }

  #chunkEnd(): void {
    this.#lastHeardMs = performance.now();
    if (this.#isReading) this.#pump.chunkEnd();
  }

  #keepalive(walEndLsn: Lsn, isReplyRequested: boolean): void {
    // In the middle of a transaction walEnd proves nothing about the transaction.
    if (!this.#decoder.isInTransaction) this.#pump.keepalive(walEndLsn);
    this.#options.metrics.setServerWalEndLsn(walEndLsn);
    if (!isReplyRequested) return;
    const nowMs = performance.now();
    if (this.#replies.isShutdownStorm(walEndLsn, nowMs)) {
      this.#end(new WalrelayError('PG_SHUTDOWN', 'the primary waits for the relay in order to shut down'));
    }
    const delayMs = this.#replies.delayMs(this.#tracker.confirmedLsn, nowMs);
    if (delayMs === 0) this.#sendStatus({ isReplyRequested: false });
    else this.#replyTimer ??= setTimeout(() => this.#sendStatus({ isReplyRequested: false }), delayMs);
  }

  #sendStatus({ isReplyRequested }: { isReplyRequested: boolean }): void {
    if (this.#replyTimer !== null) clearTimeout(this.#replyTimer);
    this.#replyTimer = null;
    const { receivedLsn, confirmedLsn } = this.#tracker;
    this.#replies.answered(confirmedLsn, performance.now());
    this.#options.postgres.sendStatus({ receivedLsn, confirmedLsn, nowMs: Date.now(), isReplyRequested });
    this.#options.metrics.setConfirmedLsn(confirmedLsn);
    this.#options.metrics.setReceivedLsn(receivedLsn);
  }

  #confirmSoon(): void {
    // While Redis or the catalog is slow, the next tick has nothing to add.
    if (this.#confirming === null) this.#confirmInTurn(true).catch((error: unknown) => this.#end(error));
  }

  /** One after the other: what one has noted and not yet seen durable, the next would take for done. */
  #confirmInTurn(canAskCatalog: boolean): Promise<void> {
    const before = this.#confirming?.catch(() => {}) ?? Promise.resolve();
    const turn = before
      .then(() => this.#confirm(canAskCatalog))
      .finally(() => {
        if (this.#confirming === turn) this.#confirming = null;
      });
    this.#confirming = turn;
    return turn;
  }

  /**
   * The only way back: what Redis has accepted and was received before the catalog was seen unchanged is noted there as
   * the floor, becomes durable, and is confirmed to Postgres when the replay window has passed (I4, I5).
   */
  async #confirm(canAskCatalog: boolean): Promise<void> {
    if (canAskCatalog) {
      const receivedLsn = this.#tracker.receivedLsn;
      const catalog = await this.#options.watch.read();
      this.#relations.learn(catalog);
      if (this.#options.guard.check(catalog)) this.#tracker.verify(receivedLsn);
    }
    const { lanes, metrics, redis } = this.#options;
    const floorLsn = this.#tracker.nextFloor;
    if (floorLsn !== null) {
      await lanes.noteFloor(floorLsn, this.#tracker.confirmedLsn);
      this.#tracker.noteFloor(floorLsn, performance.now());
    }
    metrics.setAcceptedLsn(this.#tracker.acceptedLsn);
    const nowMs = performance.now();
    if (!this.#tracker.isDue(nowMs)) return;
    // While nothing is written, a Redis that was replaced without a word looks alive: what its successor lacks must not
    // be forgotten for the mere passing of time.
    await redis.prove();
    this.#tracker.release(nowMs);
    this.#sendStatus({ isReplyRequested: false });
    this.#options.progressed();
  }

  #checkLiveness(): void {
    const silentMs = performance.now() - Math.max(this.#lastHeardMs, this.#resumedAtMs);
    // While reading is paused the answers wait in the socket: silence proves nothing then.
    if (!this.#isPaused && this.#isReading && silentMs > this.#liveness.serverSilenceMs) {
      this.#end(new WalrelayError('PG_SILENT', `Postgres has been silent for ${Math.round(silentMs)} ms`));
      return;
    }
    // Regular updates suppress the server's own pings, so an answer is asked for.
    this.#sendStatus({ isReplyRequested: true });
  }

  #setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    this.#options.metrics.setPaused(isPaused);
    if (!this.#isReading) return;
    if (isPaused) this.#options.postgres.pause();
    else this.#options.postgres.resume();
    // The silence of a pause is our own.
    this.#resumedAtMs = performance.now();
  }

  #stopReading(): void {
    this.#isReading = false;
    this.#options.postgres.pause();
  }

  #end(error: unknown): void {
    // What is going to be drained still needs its status updates.
    this.#ended.resolve(toWalrelayError(error));
  }

  /** Ends the timers. Called by whoever ends the session. */
  stop(): void {
    this.#isReading = false;
    this.#stopTimers();
  }

  #every(intervalMs: number, run: () => void): void {
    this.#timers.push(setInterval(run, intervalMs));
  }

  #showLoad(): void {
    const load = this.#pump.load;
    this.#options.metrics.setInFlight(load);
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearInterval(timer);
    if (this.#replyTimer !== null) clearTimeout(this.#replyTimer);
  }
}

export interface StreamingOptions {
  readonly settings: Settings;
  readonly shape: RelayShape;
  /** As it was before the stream began. */
  readonly catalog: Catalog;
  readonly metrics: RelayMetrics;
  readonly logger: Logger;
  readonly postgres: ReplicationConnection;
  readonly redis: RedisNodes;
  readonly lanes: LaneSet;
  readonly watch: CatalogWatch;
  readonly tracker: ConfirmTracker;
  readonly policy: PoisonPolicy;
  /** Null: streams are not counted. */
  readonly census: StreamCensus | null;
  /** Judges what the catalog says while events flow. */
  readonly guard: CatalogGuard;
  readonly walSenderTimeoutMs: number;
  /** A batch was accepted, or a position confirmed. */
  progressed(): void;
  /** Events go to this stream; told once for each, at least. */
  routed(stream: string): void;
}

const GAUGES_INTERVAL_MS = 1000;
const GOODBYE_TIMEOUT_MS = 500;
