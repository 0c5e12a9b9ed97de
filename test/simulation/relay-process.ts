import { loadSettings } from '../../src/config/load-settings.ts';
import type { Settings } from '../../src/config/settings.ts';
import type { ErrorCode } from '../../src/core/error-codes.ts';
import { toWalrelayError } from '../../src/core/walrelay-error.ts';
import type { Logger } from '../../src/ops/logger.ts';
import type { RelayMetrics } from '../../src/ops/metrics.ts';
import { Relay } from '../../src/relay/relay.ts';
import type { Link } from './link.ts';
import { setActive, type TimerOwner, type VirtualTimer } from './virtual-time.ts';
import type { World } from './world.ts';

/**
 * One life of `walrelay run`: the real relay, whole, on simulated clients, clocks and timers. It can be killed (nothing of it ever
 * runs again, what it has sent still arrives), stopped like a process that SIGSTOP holds, asked to stop.
 */
export class RelayProcess implements TimerOwner {
  readonly name: string;
  readonly world: World;
  readonly timers = new Set<VirtualTimer>();
  readonly links = new Set<Link>();
  state: 'running' | 'paused' | 'gone' = 'running';
  isStopRequested = false;
  /** How it ended by itself; null while it runs, and for one that was killed. */
  exit: ErrorCode | 'OK' | null = null;
  #sessionCount = 0;
  readonly #isStealing: boolean;
  #relay: Relay | null = null;

  constructor(world: World, name: string, isStealing: boolean) {
    this.world = world;
    this.name = name;
    this.#isStealing = isStealing;
  }

  /** The session that runs: one replication connection, one connection to each Redis. */
  get session(): string {
    return `session ${this.#sessionCount} of ${this.name}`;
  }

  get nowMs(): number {
    return this.world.nowMs;
  }

  get wallMs(): number {
    return this.world.wallMs;
  }

  get phase(): string {
    return this.#relay?.status.phase ?? 'stopped';
  }

  /** Call it through `World.run`, like everything that lets the relay do something. */
  start(): void {
    const { world } = this;
    const relay = new Relay({
      settings: world.settings,
      logger: this.#logger(),
      metrics: silentMetrics(() => {
        this.#sessionCount += 1;
      }),
      holder: this.name,
      random: () => 0.5,
      isStealing: this.#isStealing,
    });
    this.#relay = relay;
    relay.run().then(
      () => this.#exited('OK'),
      (error: unknown) => {
        const { code, message } = toWalrelayError(error);
        world.note(`${this.name} exits: ${code} ${message}`);
        this.#exited(code);
      },
    );
  }

  requestStop(): void {
    this.isStopRequested = true;
    this.#relay?.requestStop();
  }

  /** SIGKILL. The kernel closes its connections; what was sent is still under way. */
  kill(): void {
    this.state = 'gone';
    this.timers.clear();
    for (const link of this.links) link.closeByClient();
  }

  #exited(code: ErrorCode | 'OK'): void {
    if (this.state === 'gone') return;
    this.exit = code;
    this.kill();
  }

  #logger(): Logger {
    const log = (level: string) => (fields: unknown, text?: string) => {
      if (!this.world.isTracing) return;
      const error = (fields as { err?: { code?: string; message?: string } }).err;
      const about = error === undefined ? '' : `: ${error.code} ${error.message}`;
      this.world.note(`${this.name} logs ${level}: ${text ?? String(fields)}${about}`);
    };
    return {
      info: log('info'),
      warn: log('warn'),
      error: log('error'),
      debug: () => {},
    } as unknown as Logger;
  }
}

let current: RelayProcess | null = null;

/** Whose code runs at the moment. */
export function activeProcess(): RelayProcess {
  if (current === null) throw new Error('nobody is being run by the simulation');
  return current;
}

/** Lets `act` happen in a process, with everything that follows from it before anything else arrives; then calls `done`. */
export function runInProcess(process_: RelayProcess, act: () => void, done: () => void): void {
  current = process_;
  setActive(process_);
  try {
    act();
  } finally {
    // Ticks come when no microtask is left, those of other microtasks included.
    process.nextTick(() => {
      current = null;
      setActive(null);
      done();
    });
  }
}

function silentMetrics(sessionStarts: () => void): RelayMetrics {
  const silent = () => {};
  return new Proxy(
    {},
    { get: (_, name) => (name === 'recordSession' ? sessionStarts : silent) },
  ) as RelayMetrics;
}

const BASE = loadSettings({
  env: { DATABASE_URL: 'postgres://walrelay@db/shop', REDIS_URL: 'redis://redis-0' },
  flags: {},
  readFile: () => '',
});

export function simulatedSettings(overrides: Partial<Settings>): Settings {
  return { ...BASE, startTimeoutMs: 0, ...overrides };
}
