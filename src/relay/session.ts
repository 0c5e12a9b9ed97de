import { CleanUp } from '../clean-up/clean-up.ts';
import { clientConfig } from '../config/client-config.ts';
import { redisTarget } from '../config/redis-target.ts';
import type { Settings } from '../config/settings.ts';
import { createDeferred } from '../core/deferred.ts';
import { formatLsn } from '../core/lsn.ts';
import { formatPosition } from '../core/position.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import { ConfirmTracker } from '../confirm/confirm-tracker.ts';
import type { Logger } from '../ops/logger.ts';
import { throwFirst } from '../ops/throw-first.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import { DurabilityWait } from '../sink/durability-wait.ts';
import type { LaneSet } from '../sink/lane-set.ts';
import { historiesOf, type LaneState } from '../sink/lane-state.ts';
import { openLanes } from '../sink/open-lanes.ts';
import { RedisNodes } from '../sink/redis-nodes.ts';
import type { Catalog } from '../source/catalog.ts';
import { CatalogWatch } from '../source/catalog-watch.ts';
import { findProblems, findWarnings } from '../source/preflight.ts';
import { ReplicationConnection } from '../source/replication-connection.ts';
import { endHolderSql, slotLockSql } from '../source/slot-lock.ts';
import { readSystemIdentity, type SystemIdentity } from '../source/system-identity.ts';
import { CatalogGuard } from './catalog-guard.ts';
import { readCatalog } from './connect.ts';
import { guardHistory } from './ground.ts';
import { guardRedis } from './guard-redis.ts';
import { isFreshSlot, laneMissing } from './history-guard.ts';
import { notesForLane } from './lane-notes.ts';
import type { PoisonPolicy } from './poison-policy.ts';
import { nextPhase, type SessionPhase } from './session-phase.ts';
import type { RelayShape } from './relay-shape.ts';
import { openCensus } from './stream-census.ts';
import { Streaming } from './streaming.ts';

/**
 * One session, a straight line: connect, guard, stand by, claim, stream, drain, close. Any error ends it; the
 * relay then starts another one from the slot. That is also what happens after a crash, so it is always exercised.
 */
export class Session {
  readonly #options: SessionOptions;
  readonly #stop = createDeferred<'stop'>();
  #phase: SessionPhase = 'connecting';
  #postgres: ReplicationConnection | null = null;
  #redis: RedisNodes | null = null;
  #watch: CatalogWatch | null = null;
  #streaming: Streaming | null = null;
  #cleanUp: CleanUp | null = null;
  #isStopRequested = false;
  #lastSignMs = performance.now();

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get phase(): SessionPhase {
    return this.#phase;
  }

  /** When this session last got anywhere: a step of its life, a sign from a server. performance.now(). */
  get lastSignMs(): number {
    return Math.max(this.#lastSignMs, this.#streaming?.lastSignMs ?? 0);
  }

  /** Stop reading, finish what is in flight, confirm, close. */
  requestStop(): void {
    this.#isStopRequested = true;
    this.#stop.resolve('stop');
  }

  /** Resolves when it ended because it was asked to; throws the WalrelayError that ended it otherwise. */
  async run(): Promise<void> {
    try {
      await this.#untilStop(this.#run());
    } catch (error) {
      const ended = toWalrelayError(error);
      if (ended.code !== 'ABORTED') throw ended;
    } finally {
      this.#enter('closed');
      this.#cleanUp?.stop();
      this.#streaming?.stop();
      this.#watch?.destroy();
      this.#postgres?.destroy();
      this.#redis?.destroy();
    }
  }

  async #run(): Promise<void> {
    const { settings } = this.#options;
    // Redis first: while it is away, no walsender comes and goes on the primary.
    const durability = new DurabilityWait(settings.durability, settings.redisTimeoutMs, (text) => {
      this.#options.metrics.recordShortWait();
      this.#options.warnOnce(`${text}: nothing is confirmed until then`);
    });
    this.#redis = this.#own(
      await RedisNodes.open(redisTarget(settings), settings.redisTimeoutMs, {
        hasWaiters: durability.isNeeded,
      }),
    );
    const lanes = openLanes(settings, this.#redis, durability, this.#options.shape.appending);
    this.#postgres = this.#own(
      await ReplicationConnection.open(
        clientConfig(settings, this.#options.holder),
        settings.serverSilenceMs,
      ),
    );
    this.#enter('guarding');
    await guardRedis(this.#redis, { ...this.#options, durability });
    const first = await this.#guardPostgres(this.#postgres);
    await this.#readState(this.#postgres, lanes, first);

    // Before the slot is there to take: a takeover should wait neither for a log-in nor for a plan.
    const watch = this.#own(
      await CatalogWatch.open(
        clientConfig(settings, this.#options.holder),
        this.#options.shape.expected,
        first.catalog.server.versionNumber,
      ),
    );
    this.#watch = watch;

    const guarded = await this.#claimSlot(this.#postgres, watch);
    this.#enter('claiming');
    await this.#stream({ postgres: this.#postgres, redis: this.#redis, lanes, watch, guarded });
  }

  async #guardPostgres(postgres: ReplicationConnection): Promise<Guarded> {
    return this.#guard(postgres, await readCatalog(postgres, this.#options.shape.expected));
  }

  async #guard(postgres: ReplicationConnection, catalog: Catalog): Promise<Guarded> {
    const { logger, shape } = this.#options;
    throwFirst(findProblems(catalog, shape.expected), logger);
    for (const warning of findWarnings(catalog, shape.expected)) this.#options.warnOnce(warning);
    return { catalog, identity: await readSystemIdentity((sql) => postgres.query(sql)) };
  }

  async #readState(postgres: ReplicationConnection, lanes: LaneSet, guarded: Guarded): Promise<LaneState> {
    const { settings } = this.#options;
    const lane = await lanes.read();
    if (lane === null) {
      throw laneMissing(settings, guarded.catalog, isFreshSlot(guarded.catalog, settings.slot));
    }
    await guardHistory(postgres, settings, { lane, ...guarded });
    return lane;
  }

  /**
   * One relay at a time raises the fence: the one whose replication connection holds the slot's advisory lock. It
   * goes with the connection, as the slot does. (A zombie that resumes after losing both is refused by the fence.)
   * Resolves with what was read under the lock: anything older may be older than a whole life of another relay.
   */
  async #claimSlot(postgres: ReplicationConnection, watch: CatalogWatch): Promise<Guarded> {
    const isLocked = await this.#takeLock(postgres);
    const catalog = await watch.read();
    if (isLocked && catalog.slot?.isActive !== true) return this.#guard(postgres, catalog);
    this.#enter('standby');
    const freed = await this.#standBy(postgres, watch, catalog);
    this.#enter('guarding');
    return this.#guard(postgres, freed);
  }

  async #takeLock(postgres: ReplicationConnection): Promise<boolean> {
    const [row] = await postgres.query(slotLockSql(this.#options.settings.slot));
    return String(row?.['locked']) === 'true';
  }

  /**
   * Asks for the lock often, which costs the primary next to nothing, and for the rest of the catalog seldom. Resolves
   * with the catalog as it was under the lock, the slot being free.
   */
  async #standBy(postgres: ReplicationConnection, watch: CatalogWatch, catalog: Catalog): Promise<Catalog> {
    const { settings, logger, shape, metrics } = this.#options;
    const startedAtMs = performance.now();
    metrics.setPhase('standby');
    logger.info(
      { slot: settings.slot, holder: catalog.slot?.holder ?? null },
      'standing by: another relay holds the slot',
    );
    if (this.#options.takeSteal()) await this.#steal(postgres);
    let lookedAtMs = performance.now();
    let pauseMs = settings.standbyPollMs;
    for (;;) {
      await this.#sleep(pauseMs);
      const isLocked = await this.#takeLock(postgres);
      this.#lastSignMs = performance.now();
      if (!isLocked && this.#lastSignMs - lookedAtMs < STANDBY_LOOK_INTERVAL_MS) continue;
      lookedAtMs = this.#lastSignMs;
      const now = await watch.read();
      if (isLocked && now.slot?.isActive !== true) {
        const waitedMs = Math.round(performance.now() - startedAtMs);
        logger.info({ slot: settings.slot, waitedMs }, 'taking the slot over');
        return now;
      }
      // A slot that is lost or dropped never becomes free.
      throwFirst(findProblems(now, shape.expected), logger);
      // The lock is ours: its last holder is on its way out.
      if (isLocked) pauseMs = Math.min(LEAVING_POLL_MS, settings.standbyPollMs);
    }
  }

  /**
   * `--steal`: ends the connection of whoever holds the slot and takes the lock before that relay's next session can.
   * It stands by then, or is fenced.
   */
  async #steal(postgres: ReplicationConnection): Promise<void> {
    const { settings, logger } = this.#options;
    const holders = new Set<string>();
    for (let attempt = 1; attempt <= STEAL_ATTEMPTS_MAX; attempt += 1) {
      for (const row of await postgres.query(endHolderSql(settings.slot))) holders.add(String(row['holder']));
      if (await this.#takeLock(postgres)) break;
      await this.#sleep(STEAL_INTERVAL_MS);
    }
    logger.warn(
      { slot: settings.slot, holders: [...holders] },
      'the slot was taken from its holder, as asked',
    );
  }

  async #stream({ postgres, redis, lanes, watch, guarded }: Claimed): Promise<void> {
    const { settings, logger, metrics, shape } = this.#options;
    const { catalog, identity } = guarded;
    // By its OID from here on: a table that is renamed is still the one whose rows are streamed.
    watch.follow(catalog.tables.map(({ table }) => table?.oid ?? null));

    // I3: first the fence, then what Redis holds, then the stream.
    const before = await this.#readState(postgres, lanes, guarded);
    const state = await lanes.raiseFence(before.epoch, this.#options.holder);
    await guardHistory(postgres, settings, { lane: state, ...guarded });
    const timeline = Math.min(...historiesOf(state).map((history) => history.timeline));
    if (identity.timeline > timeline) {
      logger.warn(
        { before: timeline, now: identity.timeline },
        'postgres was promoted; the new timeline is noted',
      );
      await lanes.noteTimeline(identity.timeline);
    }
    const confirmedLsn = catalog.slot?.confirmedLsn;
    if (confirmedLsn === undefined || confirmedLsn === null)
      throw new WalrelayError('BUG', 'a slot without a position');
    const notes = notesForLane(state, shape, { confirmedLsn, logger });
    if (Object.keys(notes).length > 0) await lanes.annotate(notes);
    this.#options.claimed(state);

    await this.#options.policy.learnFrom(state, redis);
    const streaming = new Streaming({
      settings,
      shape,
      policy: this.#options.policy,
      census: await openCensus(this.#options, redis),
      catalog,
      metrics,
      logger,
      postgres,
      redis,
      lanes,
      watch,
      tracker: new ConfirmTracker({
        confirmedLsn,
        floorLsn: state.floorLsn,
        replayWindowMs: settings.replayWindowMs,
      }),
      guard: new CatalogGuard({
        settings,
        shape,
        metrics,
        publicationIdentity: state.publicationIdentity,
        renamed: (outbox, table) => this.#options.renamed(outbox, table.oid),
        warnOnce: (warning) => this.#options.warnOnce(warning),
      }),
      walSenderTimeoutMs: catalog.server.walSenderTimeoutMs,
      progressed: () => this.#options.progressed(),
      routed: (stream) => this.#options.routed(stream),
    });
    this.#streaming = streaming;
    if (catalog.server.serverEncoding === 'SQL_ASCII') {
      // Such a database holds anything. As UTF8 the server would verify each value and refuse what is none.
      await postgres.query("SET client_encoding TO 'SQL_ASCII'");
    }
    // What a bytea is decoded from, whatever the role or the database prefers.
    await postgres.query("SET bytea_output TO 'hex'");
    await streaming.start();
    this.#enter('streaming');
    this.#options.streaming();
    logger.info(
      {
        slot: settings.slot,
        epoch: state.epoch,
        fence: state.fence,
        timeline: identity.timeline,
        confirmed: formatLsn(confirmedLsn),
        watermark: formatPosition(state.watermark),
        server: catalog.server.version,
      },
      'streaming',
    );

    this.#cleanUp = CleanUp.start({
      ...this.#options,
      lanes,
      state,
      catalog,
      walSenderPid: postgres.walSenderPid,
    });

    const stopped = this.#stop.promise.then(() => new WalrelayError('ABORTED', 'asked to stop'));
    const reason = await Promise.race([streaming.ended, stopped]);
    if (!MAY_DRAIN.has(reason.code) && reason.disposition !== 'poison') throw reason;
    this.#cleanUp?.stop();
    this.#enter('draining');
    metrics.setPhase('draining');
    try {
      await streaming.drain(reason);
    } catch (error) {
      // An event that can't pass stays the reason; what could not be confirmed now comes again.
      if (reason.code === 'ABORTED') throw error;
      logger.warn({ err: error }, 'not drained');
    }
    throw reason;
  }

  /** Before the stream there is nothing to drain: a stop ends the session where it is. */
  async #untilStop(running: Promise<void>): Promise<void> {
    const stoppedEarly = this.#stop.promise.then(async () => {
      if (this.#phase === 'streaming' || this.#phase === 'draining') return running;
      running.catch(() => {});
      throw new WalrelayError('ABORTED', 'asked to stop');
    });
    await Promise.race([running, stoppedEarly]);
  }

  /** A connection that opens after the session was stopped is closed at once. */
  #own<T extends { destroy(): void }>(connection: T): T {
    if (this.#phase !== 'closed') return connection;
    connection.destroy();
    throw new WalrelayError('ABORTED', 'the session is over');
  }

  async #sleep(ms: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (this.#isStopRequested) throw new WalrelayError('ABORTED', 'asked to stop');
    if (this.#phase === 'closed') throw new WalrelayError('ABORTED', 'the session is over');
  }

  #enter(phase: SessionPhase): void {
    if (this.#phase === phase) return;
    this.#phase = nextPhase(this.#phase, phase);
    this.#lastSignMs = performance.now();
    if (phase === 'connecting' || phase === 'guarding' || phase === 'streaming')
      this.#options.metrics.setPhase(phase);
  }
}

export interface SessionOptions {
  readonly settings: Settings;
  readonly shape: RelayShape;
  readonly logger: Logger;
  readonly metrics: RelayMetrics;
  /** Who this is, for people who look at the lane state or at pg_stat_activity. */
  readonly holder: string;
  /** What outlives a session about events that can't pass. */
  readonly policy: PoisonPolicy;
  /** Says a warning the first time only: sessions come and go. */
  warnOnce(warning: string): void;
  /** The table goes by another name than the configured one: the next session finds it by its OID. */
  renamed(outbox: string, tableOid: number): void;
  /** Whether to end the holder's connection instead of waiting; answers true once at most. */
  takeSteal(): boolean;
  /** Events flow from here on. */
  streaming(): void;
  /** A batch was accepted, or a position confirmed. */
  progressed(): void;
  /** From here on this session alone may write. */
  claimed(state: Pick<LaneState, 'epoch' | 'fence'>): void;
  /** Events go to this stream; told once for each, at least. */
  routed(stream: string): void;
}

interface Guarded {
  readonly catalog: Catalog;
  readonly identity: SystemIdentity;
}

interface Claimed {
  readonly postgres: ReplicationConnection;
  readonly redis: RedisNodes;
  readonly lanes: LaneSet;
  readonly watch: CatalogWatch;
  readonly guarded: Guarded;
}

const STANDBY_LOOK_INTERVAL_MS = 1000;
const LEAVING_POLL_MS = 10;
const STEAL_INTERVAL_MS = 10;
const STEAL_ATTEMPTS_MAX = 500;

/** Ends after which what is in flight is still awaited: a stop, and a primary that wants to shut down. */
const MAY_DRAIN: ReadonlySet<string> = new Set(['ABORTED', 'PG_SHUTDOWN']);
