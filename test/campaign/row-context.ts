import { type PostgresOptions, type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { type RedisOptions, type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { Random } from '../support/chaos-random.ts';
import type { Daemon } from '../support/cli.ts';
import type { WorkloadOptions } from '../support/workload.ts';
import { Scene, type SceneOptions } from './scene.ts';
import type { SharedServers } from './shared-servers.ts';
import { emptyTally, type Tally } from './tally.ts';

export interface RowContextOptions {
  readonly seed: number;
  readonly servers: Pick<SharedServers, 'urls'>;
  /** How many kills a row that kills in a loop should do; undefined: its own number. */
  readonly kills?: number | undefined;
  /** Shown live, and gone with the next one. */
  onStep(text: string): void;
  /** A line that stays. */
  onMilestone(text: string): void;
}

/**
 * What a row is given for one run: chance from a seed, servers, scenes, and the places where it notes what it does.
 * Everything opened through it ends with the run, the newest first.
 */
export class RowContext implements AsyncDisposable {
  readonly seed: number;
  readonly random: Random;
  readonly kills: number | undefined;
  readonly tally: Tally = emptyTally();
  /** Relays that were started, for the log of a failed run. */
  readonly daemons: Daemon[] = [];
  readonly #options: RowContextOptions;
  readonly #notes: string[] = [];
  readonly #startedAtMs = performance.now();
  readonly #releasers: (() => Promise<unknown>)[] = [];

  constructor(options: RowContextOptions) {
    this.#options = options;
    this.seed = options.seed;
    this.random = new Random(options.seed);
    this.kills = options.kills;
  }

  /** A Postgres of the run's own, to be killed, stopped and configured. About a second. */
  async startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
    return this.use(await startPostgres(options));
  }

  /** A Redis of the run's own. It syncs each write to disk (appendfsync always) unless the arguments say otherwise. */
  async startRedis(options: RedisOptions = {}): Promise<RedisServer> {
    return this.use(
      await startRedis({ ...options, args: ['--appendfsync', 'always', ...(options.args ?? [])] }),
    );
  }

  /** An outbox with oracle, proxies and workload, on the servers given, else on those that all rows share. */
  async openScene(options: SceneOptions = {}): Promise<Scene> {
    const { databaseUrl, redisUrl } = await this.#options.servers.urls();
    return this.use(await Scene.open(this, { databaseUrl, redisUrl, ...options }));
  }

  /** A scene on a Redis of the run's own, with a relay that streams and producers at work. */
  async openUnderLoad(
    options: { readonly redis?: RedisOptions; readonly workload?: Partial<WorkloadOptions> } = {},
  ): Promise<{ readonly redis: RedisServer; readonly scene: Scene; readonly daemon: Daemon }> {
    const redis = await this.startRedis(options.redis);
    const scene = await this.openScene({ redis });
    const daemon = await scene.startStreaming();
    scene.startWorkload(options.workload);
    return { redis, scene, daemon };
  }

  /** Ends with the run. */
  use<T extends AsyncDisposable>(resource: T): T {
    this.defer(async () => await resource[Symbol.asyncDispose]());
    return resource;
  }

  /** Called when the run is over, however it ended. */
  defer(release: () => Promise<unknown>): void {
    this.#releasers.push(release);
  }

  /** What happens now: shown live, and told in the log of a failed run. */
  note(text: string): void {
    const seconds = ((performance.now() - this.#startedAtMs) / 1000).toFixed(2);
    this.#notes.push(`${seconds.padStart(8)}  ${text}`);
    this.#options.onStep(text);
  }

  /** As a note, and the line stays: for runs that take long. */
  milestone(text: string): void {
    this.note(text);
    this.#options.onMilestone(text);
  }

  /** Counts a fault. `over()` says when it ended (e.g. the server is up again): from there recovery is timed. */
  fault(what: string, options: { readonly isKill?: boolean } = {}): Fault {
    this.note(what);
    this.tally.faults += 1;
    if (options.isKill === true) this.tally.kills += 1;
    const fault = {
      overAtMs: performance.now(),
      over: () => {
        fault.overAtMs = performance.now();
        this.note(`over: ${what}`);
      },
    };
    return fault;
  }

  /** The relay works again: an event committed after the fault is there. */
  recovered(fault: Fault): number {
    const ms = performance.now() - fault.overAtMs;
    this.tally.recoveriesMs.push(ms);
    this.note(`recovered after ${Math.round(ms)} ms`);
    return ms;
  }

  get log(): string {
    return [
      ...this.#notes,
      ...this.daemons.map(
        (daemon, index) => `\n--- relay ${index + 1} (pid ${daemon.pid})\n${daemon.stderr}`,
      ),
    ].join('\n');
  }

  /** Everything is tried, whatever fails on the way. */
  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = [];
    for (let release = this.#releasers.pop(); release !== undefined; release = this.#releasers.pop()) {
      await release().catch((error: unknown) => errors.push(error));
    }
    if (errors.length > 0)
      throw new AggregateError(errors, `cleaning up failed: ${errors.map(String).join('; ')}`);
  }
}

export interface Fault {
  overAtMs: number;
  over(): void;
}
