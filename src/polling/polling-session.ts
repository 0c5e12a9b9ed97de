import { clientConfig } from '../config/client-config.ts';
import { redisExpectations } from '../config/redis-expectations.ts';
import { redisTarget } from '../config/redis-target.ts';
import type { Settings } from '../config/settings.ts';
import { formatTableName } from '../config/table-name.ts';
import { createDeferred } from '../core/deferred.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import type { Logger } from '../ops/logger.ts';
import { throwFirst } from '../ops/throw-first.ts';
import type { PollingMetrics, PollingPhase } from '../ops/polling-metrics.ts';
import { packShapes } from '../sink/packed-shapes.ts';
import { PublishBatch } from '../sink/publish-batch.ts';
import { Publisher } from '../sink/publisher.ts';
import { RedisConnection } from '../sink/redis-connection.ts';
import { findRedisProblems, readRedisFacts } from '../sink/redis-preflight.ts';
import { ClaimSize } from './claim-size.ts';
import type { PolledTable } from './polled-table.ts';
import { parsePollingCatalog, type PollingCatalog, pollingCatalogSql } from './polling-catalog.ts';
import { PollingConnection } from './polling-connection.ts';
import {
  findPollingProblems,
  findPollingRedisWarnings,
  findPollingWarnings,
  isOrderUnique,
} from './polling-preflight.ts';
import { type ClaimFacts, placeCount, valuesOf } from './polling-sql.ts';
import { Worker } from './worker.ts';

/**
 * One session: connect, guard, poll, drain, close. It has one connection to Redis and one to Postgres for each worker.
 * Any error ends it with all of them; the relay then starts another one.
 */
export class PollingSession {
  readonly #options: PollingSessionOptions;
  readonly #stop = createDeferred<'stop'>();
  readonly #connections: { destroy(): void }[] = [];
  readonly #workers: Worker[] = [];
  #phase: PollingPhase = 'connecting';
  #isClosed = false;
  #lastSignMs = performance.now();

  constructor(options: PollingSessionOptions) {
    this.#options = options;
  }

  get phase(): PollingPhase {
    return this.#phase;
  }

  /** When a claim was last committed, performance.now(). */
  get lastSignMs(): number {
    return this.#lastSignMs;
  }

  /** Finish the batches in hand, commit them, close. */
  requestStop(): void {
    this.#stop.resolve('stop');
  }

  /** Resolves when it ended because it was asked to; throws the WalrelayError that ended it otherwise. */
  async run(): Promise<void> {
    const running = this.#run();
    const stoppedEarly = this.#stop.promise.then(async () => {
      if (this.#phase === 'polling' || this.#phase === 'draining') return running;
      // Before the first claim there is nothing to finish.
      running.catch(() => {});
    });
    try {
      await Promise.race([running, stoppedEarly]);
    } finally {
      this.#isClosed = true;
      for (const connection of this.#connections) connection.destroy();
    }
  }

  async #run(): Promise<void> {
    const { settings, table, logger } = this.#options;
    // Redis first: while it is away, no row is locked.
    const redis = this.#own(await RedisConnection.open(redisTarget(settings), settings.redisTimeoutMs));
    const postgres = await this.#connect();
    this.#enter('guarding');
    await this.#guardRedis(redis);
    const catalog = parsePollingCatalog(
      await postgres.readText(pollingCatalogSql(table.name, settings.slot)),
    );
    throwFirst(findPollingProblems(catalog, table), logger);
    for (const warning of findPollingWarnings(catalog, table, settings)) this.#options.warnOnce(warning);
    const publisher = new Publisher(redis, packShapes(table.outbox.shapes, { hasPosition: false }));
    await publisher.loadScript();

    const facts = this.#claimFacts(catalog);
    const connections = [postgres];
    while (connections.length < settings.pollWorkers) connections.push(await this.#connect());
    for (const [index, connection] of connections.entries()) {
      await connection.prepare(table, facts, {
        statementTimeoutMs: settings.serverSilenceMs,
        // Between two queries of a claim lies one answer of Redis.
        idleInTransactionMs: 2 * settings.redisTimeoutMs,
        listenChannel:
          index === 0 && settings.pollListenChannel !== 'off' ? settings.pollListenChannel : null,
        notified: () => this.#wakeOne(),
      });
      this.#workers.push(this.#createWorker(connection, publisher, facts));
    }
    await this.#poll(redis, connections, catalog);
  }

  async #poll(
    redis: RedisConnection,
    connections: readonly PollingConnection[],
    catalog: PollingCatalog,
  ): Promise<void> {
    const { settings, logger, table } = this.#options;
    this.#enter('polling');
    this.#options.polling();
    logger.info(
      {
        table: formatTableName(table.name),
        orderColumn: table.orderColumn,
        after: settings.pollAfter,
        workers: settings.pollWorkers,
        intervalMs: settings.pollIntervalMs,
        listenChannel: settings.pollListenChannel,
        server: catalog.server.version,
      },
      'polling',
    );
    const workers = this.#workers.map((worker) => worker.run());
    // Awaited again when the session drains.
    for (const worker of workers) worker.catch(() => {});
    const lost = createDeferred<never>();
    lost.promise.catch(() => {});
    for (const connection of [redis, ...connections]) {
      void connection.ended.then((error) => lost.reject(error));
    }
    try {
      await Promise.race([this.#stop.promise, lost.promise, Promise.all(workers)]);
      await this.#drain(workers, lost.promise);
    } catch (thrown) {
      const error = toWalrelayError(thrown);
      // What other workers have in hand is not to blame: publishing it twice can be avoided.
      if (error.disposition === 'poison') {
        await this.#drain(workers, lost.promise).catch((other: unknown) => {
          if (other !== thrown) logger.warn({ err: toWalrelayError(other) }, 'not drained');
        });
      }
      throw error;
    }
  }

  /** Every worker finishes its batch and commits. Throws DRAIN_TIMEOUT when that takes longer than allowed. */
  async #drain(workers: readonly Promise<void>[], lost: Promise<never>): Promise<void> {
    const { drainTimeoutMs } = this.#options.settings;
    this.#enter('draining');
    for (const worker of this.#workers) worker.requestStop();
    const timeout = createDeferred<never>();
    const timer = setTimeout(
      () =>
        timeout.reject(
          new WalrelayError(
            'DRAIN_TIMEOUT',
            `not drained within ${drainTimeoutMs} ms: what was in hand is published again`,
          ),
        ),
      drainTimeoutMs,
    );
    try {
      const settled = await Promise.race([Promise.allSettled(workers), timeout.promise, lost]);
      for (const result of settled) if (result.status === 'rejected') throw toWalrelayError(result.reason);
    } finally {
      clearTimeout(timer);
    }
  }

  #createWorker(postgres: PollingConnection, publisher: Publisher, facts: ClaimFacts): Worker {
    const { settings, table, metrics } = this.#options;
    const { encodings, kinds } = valuesOf(table, facts);
    return new Worker({
      postgres,
      publisher,
      batch: new PublishBatch(settings, {
        shapes: publisher.shapes,
        encodings,
        kinds,
        router: table.outbox.createRouter(),
      }),
      idSlots: table.outbox.slots.id,
      encodings,
      placeCount: placeCount(facts),
      claimSize: new ClaimSize({
        eventsMax: settings.pollBatchEventsMax,
        // Held are two claims, the one in hand and the next, as strings of up to two bytes a character, and what the
        // collector has not taken away yet of those before.
        bytesMax: settings.memoryBudgetBytes / settings.pollWorkers / 8,
      }),
      intervalMs: settings.pollIntervalMs,
      metrics,
      foundMore: () => this.#workers.find((worker) => worker.isSleeping)?.wake(),
      committed: () => {
        this.#lastSignMs = performance.now();
        this.#options.progressed();
      },
    });
  }

  /** One is enough for one event; it wakes others when it finds more than it can take. */
  #wakeOne(): void {
    (this.#workers.find((worker) => worker.isSleeping) ?? this.#workers[0])?.wake();
  }

  #claimFacts({ server, table }: PollingCatalog): ClaimFacts {
    if (table === null) throw new WalrelayError('BUG', 'a table that was guarded is not there');
    return {
      isOrderUnique: isOrderUnique(table, this.#options.table),
      isPartitioned: table.kind === 'p',
      isRaw: server.serverEncoding === 'SQL_ASCII',
      columnTypes: new Map(table.columns.map(({ name, type }) => [name, type])),
      isExclusive: this.#options.settings.pollWorkers === 1,
    };
  }

  async #guardRedis(redis: RedisConnection): Promise<void> {
    const { settings, logger } = this.#options;
    const facts = await readRedisFacts(redis);
    throwFirst(findRedisProblems(facts, redisExpectations(settings)), logger);
    for (const warning of findPollingRedisWarnings(facts)) this.#options.warnOnce(warning);
  }

  async #connect(): Promise<PollingConnection> {
    const { settings } = this.#options;
    return this.#own(
      await PollingConnection.open(
        clientConfig(settings, APPLICATION_NAME),
        // The server ends a slow query first, and says so.
        1.5 * settings.serverSilenceMs,
      ),
    );
  }

  /** A connection that opens after the session was stopped is closed at once. */
  #own<T extends { destroy(): void }>(connection: T): T {
    if (this.#isClosed) {
      connection.destroy();
      throw new WalrelayError('ABORTED', 'the session is over');
    }
    this.#connections.push(connection);
    return connection;
  }

  #enter(phase: PollingPhase): void {
    this.#phase = phase;
    this.#options.metrics.setPhase(phase);
  }
}

export interface PollingSessionOptions {
  readonly settings: Settings;
  readonly table: PolledTable;
  readonly logger: Logger;
  readonly metrics: PollingMetrics;
  /** Says a warning the first time only: sessions come and go. */
  warnOnce(warning: string): void;
  /** Rows are claimed from here on. */
  polling(): void;
  /** A claim was committed. */
  progressed(): void;
}

const APPLICATION_NAME = 'walrelay-poll';
