import { exitError, Links, unlessExited } from './chaos-links.ts';
import type { Random } from './chaos-random.ts';
import type { Daemon, Env } from './cli.ts';
import type { Outbox } from './outbox.ts';
import { formatPoint, isSessionStart, type Point, POINTS, PointWatch } from './protocol-points.ts';
import { Workload } from './workload.ts';

/** One kill of the relay, or one cut of a connection. */
export type Strike =
  | { readonly kind: 'random'; readonly afterMs: number; readonly from: 'spawn' | 'streaming' }
  | { readonly kind: 'point'; readonly point: Point; readonly nth: number; readonly effect: 'kill' | 'cut' };

/** Half of the kills at named points (each at least once, if they are enough), half at random times; some cuts. */
export function planStrikes(random: Random, kills: number): Strike[] {
  const strikes: Strike[] = [];
  const points: Point[] = [];
  while (points.length < kills / 2) points.push(...random.shuffle(POINTS));
  for (const point of points.slice(0, Math.ceil(kills / 2))) {
    strikes.push({ kind: 'point', point, nth: nth(random, point), effect: 'kill' });
  }
  while (strikes.length < kills) {
    const from = random.next() < 0.3 ? 'spawn' : 'streaming';
    strikes.push({ kind: 'random', afterMs: random.int(0, from === 'spawn' ? 800 : 600), from });
  }
  const cuts = random.shuffle(POINTS).slice(0, Math.ceil(kills / 5));
  for (const point of cuts) strikes.push({ kind: 'point', point, nth: nth(random, point), effect: 'cut' });
  return random.shuffle(strikes);
}

function nth(random: Random, point: Point): number {
  if (isSessionStart(point)) return 1;
  return point.message === 'append' ? random.int(1, 30) : random.int(1, 3);
}

/** A relay that is struck again and again, and started again each time. */
export class CrashRun {
  readonly counts = new Map<string, number>();
  readonly #start: (env: Env) => Daemon;
  readonly #links: Links;
  readonly #watch: PointWatch;
  readonly #random: Random;
  #daemon: Daemon | null = null;

  /** `start` starts a relay through the links. */
  constructor(start: (env: Env) => Daemon, links: Links, random: Random) {
    this.#start = start;
    this.#links = links;
    this.#watch = new PointWatch(links);
    this.#random = random;
  }

  async strike(strike: Strike): Promise<void> {
    if (strike.kind === 'random') {
      const daemon = this.running();
      if (strike.from === 'streaming') await daemon.streaming();
      await unlessExited(daemon, new Promise((resolve) => setTimeout(resolve, strike.afterMs)));
      await this.#killed(daemon, 'SIGKILL');
      this.#count(`random after ${strike.from}`);
      return;
    }
    const { point, effect } = strike;
    let daemon: Daemon | null = null;
    const reached = this.#watch.arm(point, strike.nth, () => {
      if (effect === 'kill') daemon?.signal('SIGKILL');
    });
    const isNew = this.#daemon === null;
    daemon = this.running();
    // A session that streams already has to make room for a new one to come to the point.
    if (!isNew && isSessionStart(point)) this.#links.resetAll();
    await unlessKilled(daemon, reached);
    if (effect === 'kill') await this.#killed(daemon, null);
    this.#count(`${formatPoint(point)} ${effect}`);
  }

  running(): Daemon {
    this.#daemon ??= this.#start({
      WALRELAY_STANDBY_POLL_MS: '20',
      WALRELAY_BACKOFF_MIN_MS: '20',
      // Other borders of batches in each life: what is sent again is cut differently.
      WALRELAY_BATCH_EVENTS_MAX: String(this.#random.pick([1, 7, 50, 512])),
      WALRELAY_IN_FLIGHT_BATCHES_MAX: String(this.#random.pick([1, 4, 16])),
    });
    return this.#daemon;
  }

  async #killed(daemon: Daemon, signal: NodeJS.Signals | null): Promise<void> {
    if (signal !== null) daemon.signal(signal);
    const result = await daemon.exited;
    if (result.signal !== 'SIGKILL') throw exitError(result);
    this.#daemon = null;
  }

  #count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}

/** A relay under load, with a proxy on each of its links, to be struck again and again. */
export class CrashScene implements AsyncDisposable {
  readonly workload: Workload;
  readonly run: CrashRun;
  readonly #links: Links;
  readonly #random: Random;

  private constructor(outbox: Outbox, links: Links, random: Random) {
    this.#links = links;
    this.#random = random;
    this.workload = Workload.start({
      databaseUrl: outbox.databaseUrl,
      seed: random.int(0, 2 ** 31),
      bigEvery: 300,
    });
    this.run = new CrashRun((env) => outbox.start({ ...links.env, ...env }), links, random);
  }

  static async open(outbox: Outbox, random: Random): Promise<CrashScene> {
    return new CrashScene(outbox, await Links.open(outbox), random);
  }

  /** Returns the relay that runs after the last of them. A point that is not recognised is waited for in vain. */
  async strike(kills: number): Promise<Daemon> {
    for (const strike of planStrikes(this.#random, kills)) await this.run.strike(strike);
    return this.run.running();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.workload.stop();
    await this.#links[Symbol.asyncDispose]();
  }
}

/** As unlessExited, but an end by the strike itself is what was waited for. */
async function unlessKilled(daemon: Daemon, reached: Promise<void>): Promise<void> {
  const exited = daemon.exited.then((result) => {
    if (result.signal !== 'SIGKILL') throw exitError(result);
  });
  await Promise.race([reached, exited]);
  await reached;
}
