import type { PostgresServer } from '../../dev/servers/postgres.ts';
import type { RedisServer } from '../../dev/servers/redis.ts';
import { formatLsn, type Lsn, lsnFromHex, parseLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import { exitError, Links, sessionErrors, streamingCount, unlessExited } from '../support/chaos-links.ts';
import type { Daemon, DaemonOptions, Env } from '../support/cli.ts';
import { compareStreams, type Exactness, isBefore, type RelayedEvent } from '../support/compare-streams.ts';
import { expectFlawless, expectFloorNoted, Oracle, readEntries } from '../support/exactness.ts';
import { Outbox } from '../support/outbox.ts';
import { untilSlotIsFree } from '../support/slot-at-rest.ts';
import { waitFor } from '../support/wait-for.ts';
import { Workload, type WorkloadOptions } from '../support/workload.ts';
import type { Fault, RowContext } from './row-context.ts';
import { countExactness } from './tally.ts';

export interface SceneOptions {
  /** Whose inserts are events, for the oracle; the outbox alone, if nothing is said. */
  readonly tables?: readonly string[];
  /** A server of the run's own; else the one that all rows share. */
  readonly postgres?: PostgresServer;
  readonly redis?: RedisServer;
  /** Of a server that is neither. */
  readonly databaseUrl?: string;
  readonly redisUrl?: string;
  /** For every relay of the scene. */
  readonly env?: Env;
  readonly encoding?: 'SQL_ASCII';
}

/** Quick to come back, so that many faults fit into a run. */
const QUICK: Env = { WALRELAY_STANDBY_POLL_MS: '20', WALRELAY_BACKOFF_MIN_MS: '20' };

/** On a machine that is busy with other things. */
const START_LIMIT_MS = 60_000;

/** An outbox, its ground truth, the relay's links and what a row checks at its end. */
export class Scene implements AsyncDisposable {
  readonly outbox: Outbox;
  readonly oracle: Oracle;
  /** Relays go through them; the workload and the checks don't. */
  readonly links: Links;
  readonly #context: RowContext;
  readonly #workloads: Workload[] = [];
  /** A server that goes with the run need not be tidied, and may be down by then. */
  readonly #isThrownAway: boolean;
  #canaryCount = 0;
  #eventCount = 0;

  private constructor(context: RowContext, parts: SceneParts) {
    this.#context = context;
    this.outbox = parts.outbox;
    this.oracle = parts.oracle;
    this.links = parts.links;
    this.#isThrownAway = parts.isThrownAway;
  }

  static async open(
    context: RowContext,
    options: SceneOptions & { readonly databaseUrl: string; readonly redisUrl: string },
  ): Promise<Scene> {
    const outbox = await Outbox.create({
      databaseUrl: options.postgres?.url ?? options.databaseUrl,
      redisUrl: options.redis?.url ?? options.redisUrl,
      // The shared Postgres has few slots: they are given back, whatever has become of the run's own Redis.
      isRedisOwn: options.redis !== undefined,
      isRedisCluster: options.env?.['WALRELAY_REDIS_MODE'] === 'cluster',
      env: { ...QUICK, ...options.env },
      encoding: options.encoding,
    });
    const isThrownAway = options.postgres !== undefined;
    return new Scene(context, {
      outbox,
      oracle: await Oracle.create(outbox, options.tables),
      links: await Links.open(outbox),
      isThrownAway,
    });
  }

  /** Starts a relay through the links; it may not stream yet, or never. */
  start(env: Env = {}, options: DaemonOptions = {}): Daemon {
    return this.startDirect({ ...this.links.env, ...env }, options);
  }

  /** Starts a relay that goes straight to the servers: what is done to the links is not done to it. */
  startDirect(env: Env = {}, options: DaemonOptions = {}): Daemon {
    const daemon = this.outbox.start(env, options);
    this.#context.daemons.push(daemon);
    return daemon;
  }

  /** Starts a relay and waits until it streams. */
  async startStreaming(env: Env = {}, options: DaemonOptions = {}): Promise<Daemon> {
    const daemon = this.start(env, options);
    await daemon.waitForLog('streaming', { timeoutMs: START_LIMIT_MS });
    return daemon;
  }

  /** Producers, until the scene settles; drawn from the run's seed. */
  startWorkload(options: Partial<WorkloadOptions> = {}): Workload {
    const workload = Workload.start({
      databaseUrl: this.outbox.databaseUrl,
      seed: this.#context.random.int(0, 0xffff_ffff),
      // Large enough for many batches, and small enough for a busy machine to keep up with.
      writers: 6,
      bigEvery: 200,
      bigRows: 1000,
      ...options,
    });
    this.#workloads.push(workload);
    return workload;
  }

  /** Waits until an event that is committed now stands in its stream, and takes the time since the fault was over. */
  async recover(daemon: Daemon, fault: Fault, timeoutMs = 120_000): Promise<void> {
    await unlessExited(daemon, this.deliverCanary(timeoutMs));
    this.#context.recovered(fault);
  }

  /** Commits an event and waits until it stands in the stream of canaries. */
  async deliverCanary(timeoutMs = 120_000): Promise<void> {
    this.#canaryCount += 1;
    const canary = { aggregateType: 'canary', aggregateId: String(this.#canaryCount) };
    await waitFor('a canary to be committed', () => this.outbox.insert(canary).catch(() => null), timeoutMs);
    await waitFor('the canary to arrive', async () => await this.#hasArrived(canary), timeoutMs);
  }

  async #hasArrived(canary: {
    readonly aggregateType: string;
    readonly aggregateId: string;
  }): Promise<boolean> {
    // The newest is enough, and cheap: canaries of one scene come one after the other.
    const newest = await this.outbox.redis
      .xrevrange(this.outbox.stream(canary.aggregateType), '+', '-', 'COUNT', 1)
      .catch(() => []);
    const fields = newest[0]?.[1] ?? [];
    return fields[fields.indexOf('aggregate_id') + 1] === canary.aggregateId;
  }

  /** The end of a run that must be OK: the streams are what was committed, and the relay stops as it should. */
  async settle(daemon: Daemon): Promise<void> {
    await this.stopWorkloads();
    this.#context.note('settling');
    await unlessExited(daemon, this.outbox.waitUntilConfirmed(180_000));
    await this.expectExact();
    const result = await daemon.stop();
    if (result.exitCode !== 0) throw exitError(result);
  }

  /** Counts and judges what stands in the streams: the exact set, once, in order, every byte; and the floor. */
  async expectExact(): Promise<void> {
    this.judge(await this.compare());
    await expectFloorNoted(this.outbox);
  }

  /** What stands in the streams against what was committed; counts and judges nothing. */
  async compare(): Promise<Exactness> {
    return compareStreams(await this.oracle.read(), await readEntries(this.outbox.redis, this.outbox.name));
  }

  /**
   * The end of a run that must be a HALT: the relay exits with a code other than 0 and one of these reasons, is not
   * ready, and so does one that is started again; the slot stays where it was.
   */
  async expectHalt(daemon: Daemon, codes: readonly string[], options: HaltOptions = {}): Promise<void> {
    const { notPast = null, isAgain = true, entries = 'prefix', timeoutMs = 60_000 } = options;
    await this.#expectExit(daemon, codes, timeoutMs);
    if (isAgain) await this.#expectExit(this.start(options.env), codes, timeoutMs);
    await this.stopWorkloads();
    if (notPast !== null) await this.expectConfirmedNotPast(notPast);
    if (entries === 'prefix') await this.expectPrefix();
    else this.#context.note('what stands in the streams is not judged here');
  }

  async #expectExit(daemon: Daemon, codes: readonly string[], timeoutMs: number): Promise<void> {
    const result = await waitFor(
      `the relay to halt with ${codes.join(' or ')}`,
      () => daemon.hasExited && daemon.exited,
      timeoutMs,
    );
    const code = sessionErrors(daemon).at(-1) ?? 'no error';
    this.#context.note(`halted with ${code}, exit code ${result.exitCode ?? result.signal}`);
    if (!codes.includes(code) || result.exitCode === 0 || result.exitCode === null) {
      throw new Error(
        `expected a halt with ${codes.join(' or ')}, got ${code}, exit code ${result.exitCode ?? result.signal}`,
      );
    }
    const ready = await this.#isReady(daemon);
    if (ready) throw new Error('the relay halted, but /readyz says it is ready');
  }

  /** A relay that must not start: it says why and what to do, never streams, and Postgres is told nothing. */
  async expectRefusal(codes: readonly string[], env: Env = {}): Promise<Daemon> {
    const before = await this.confirmed();
    const daemon = this.start(env);
    await this.#expectExit(daemon, codes, 60_000);
    const fatal = daemon.log.findLast((line) => line.level === 'fatal');
    if ((fatal?.err?.hint ?? '') === '') throw new Error(`refused without a hint: ${JSON.stringify(fatal)}`);
    if (streamingCount(daemon) > 0) throw new Error('it should have refused before it streamed');
    if ((await this.confirmed()) !== before) throw new Error('a relay that refused has confirmed something');
    return daemon;
  }

  /** An answer that is 200; a closed port is none. */
  async #isReady(daemon: Daemon): Promise<boolean> {
    const address = daemon.log.find((line) => line.msg === 'walrelay starts')?.['http'];
    if (typeof address !== 'string') return false;
    const response = await fetch(`${address}/readyz`).catch(() => null);
    return response?.status === 200;
  }

  /** Postgres was told no more than this. */
  async expectConfirmedNotPast(limit: Lsn): Promise<void> {
    const confirmed = parseLsn(await this.outbox.confirmedLsn());
    if (confirmed > limit)
      throw new Error(`the slot is confirmed up to ${formatLsn(confirmed)}, past ${formatLsn(limit)}`);
  }

  /**
   * What stands in the streams of a relay that halted: a prefix of what was committed without a hole, and at least
   * what Postgres was told. Anything that misses before the newest entry, or before the slot, is lost.
   */
  async expectPrefix(): Promise<void> {
    const expected = await this.oracle.read();
    const actual = await readEntries(this.outbox.redis, this.outbox.name);
    const confirmed = parseLsn(await this.outbox.confirmedLsn());
    const newest = [...actual.values()]
      .flatMap((entries) => entries.at(-1) ?? [])
      .reduce<RelayedEvent | null>(
        (last, entry) => (last === null || isBefore(last, entry) ? entry : last),
        null,
      );
    const due = expected.filter(
      (event) => parseLsn(event.lsn) < confirmed || (newest !== null && !isBefore(newest, event)),
    );
    this.judge(compareStreams(due, actual));
  }

  /** Counts what was compared, and throws when it is not flawless. */
  judge(exactness: Exactness): void {
    // A scene may be judged several times; each of its events counts once.
    const { events } = exactness;
    countExactness(this.#context.tally, { ...exactness, events: Math.max(0, events - this.#eventCount) });
    this.#eventCount = Math.max(this.#eventCount, events);
    expectFlawless(exactness);
  }

  /** The position noted in Redis before Postgres is told: what may be confirmed by now. */
  async floor(): Promise<Lsn> {
    return this.parseFloor(await this.outbox.redis.hget(this.outbox.metaKey, 'floor'));
  }

  /** What a transaction of Redis has answered for the field. */
  parseFloor(field: unknown): Lsn {
    return typeof field === 'string' ? lsnFromHex(field) : ZERO_LSN;
  }

  async confirmed(): Promise<Lsn> {
    return parseLsn(await this.outbox.confirmedLsn());
  }

  /** Waits until Postgres has given the session up, by itself or at wal_sender_timeout. */
  async untilSlotIsFree(): Promise<void> {
    await untilSlotIsFree(this.outbox, 60_000);
  }

  async stopWorkloads(): Promise<void> {
    await Promise.all(this.#workloads.splice(0).map((workload) => workload.stop()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.links[Symbol.asyncDispose]();
    await this.stopWorkloads();
    if (this.#isThrownAway) await this.outbox.abandon();
    else await this.outbox[Symbol.asyncDispose]();
  }
}

interface SceneParts {
  readonly outbox: Outbox;
  readonly oracle: Oracle;
  readonly links: Links;
  readonly isThrownAway: boolean;
}

export interface HaltOptions {
  /** The slot may be confirmed up to here, and no further; null when there is no slot to look at. */
  readonly notPast?: Lsn | null;
  /** False: a second start would not halt, or not with this code. */
  readonly isAgain?: boolean;
  /** For the second start. */
  readonly env?: Env;
  /** `any` when Redis lost entries by itself, or the oracle's slot is gone too. */
  readonly entries?: 'prefix' | 'any';
  readonly timeoutMs?: number;
}
