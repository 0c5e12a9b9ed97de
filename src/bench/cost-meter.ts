import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseCost, ProcessCost, ProcessReport } from './bench-report.ts';
import type { RunningContestant } from './contestant.ts';
import type { ControlPostgres } from './control-postgres.ts';
import type { ControlRedis } from './control-redis.ts';
import {
  countersBetween,
  type DatabaseCounterReader,
  type DatabaseCounters,
  databaseCost,
} from './database-counters.ts';
import { cpuSecondsOf, isBackendHere, peakRssBytesOf } from './process-times.ts';

export interface CostSource {
  readonly postgres: ControlPostgres;
  readonly redis: ControlRedis;
  readonly counters: DatabaseCounterReader;
}

/** Measures what a relay costs between a beginning and an end: by process where it runs here, and in the database. */
export class CostMeter {
  readonly #source: CostSource;
  readonly #running: RunningContestant;
  /** Backends of the same name that were there before: somebody else's. */
  readonly #othersPids: ReadonlySet<number>;
  #processes: ProcessSnapshot | undefined;
  #counters: DatabaseCounters | undefined;

  /** `others`: what `backendPids` said before the contestant was started. */
  constructor(source: CostSource, running: RunningContestant, others: readonly number[]) {
    this.#source = source;
    this.#running = running;
    this.#othersPids = new Set(others);
  }

  /** From here on the database's counters count. What a backend does is reported late: begin and end in quiet moments. */
  async beginDatabase(): Promise<void> {
    this.#counters = await this.#source.counters.read();
  }

  /** From here on the processes' times count. */
  async beginProcesses(): Promise<void> {
    this.#processes = await this.#snapshot();
  }

  /** What the processes took for `events` events; to be asked while they are there. */
  async endProcesses(events: number): Promise<ProcessReport> {
    const begin = this.#processes;
    if (begin === undefined) throw new Error('a cost has a beginning');
    const end = await this.#snapshot();
    const relay = this.#relayCost(begin, end, events);
    const postgres = cost(cpuOfBackends(begin, end), events);
    const redis = cost(end.redisCpu - begin.redisCpu, events, end.redisRssBytes);
    return {
      ...(relay === undefined ? {} : { relay }),
      ...(postgres === undefined ? {} : { postgres }),
      ...(redis === undefined ? {} : { redis }),
    };
  }

  /**
   * What the database did for it in `seconds` seconds, less `base`, the same load without a relay. To be asked after
   * the relay was stopped: a backend reports its last second when it ends.
   */
  async endDatabase(seconds: number, base: DatabaseCounters | undefined): Promise<DatabaseCost> {
    const begin = this.#counters;
    if (begin === undefined) throw new Error('a cost has a beginning');
    for (let waitedMs = 0; waitedMs < GONE_TIMEOUT_MS; waitedMs += GONE_POLL_MS) {
      if ((await this.#ownBackends()).length === 0) break;
      await sleep(GONE_POLL_MS);
    }
    return databaseCost(countersBetween(begin, await this.#source.counters.read()), base, seconds);
  }

  #relayCost(begin: ProcessSnapshot, end: ProcessSnapshot, events: number): ProcessCost | undefined {
    const running = this.#running;
    if (begin.relayCpu === undefined || end.relayCpu === undefined) return undefined;
    const peaks = running.pids.map(peakRssBytesOf).filter((peak) => peak !== undefined);
    return cost(
      end.relayCpu - begin.relayCpu,
      events,
      peaks.length === running.pids.length ? sum(peaks) : undefined,
    );
  }

  async #snapshot(): Promise<ProcessSnapshot> {
    const { redis } = this.#source;
    const backends = await this.#backends();
    const [cpu, memory] = [await redis.info('cpu'), await redis.info('memory')];
    const relayTimes = this.#running.pids.map(cpuSecondsOf);
    const known = relayTimes.filter((seconds) => seconds !== undefined);
    return {
      relayCpu: known.length > 0 && known.length === relayTimes.length ? sum(known) : undefined,
      backends,
      redisCpu: Number(cpu['used_cpu_user']) + Number(cpu['used_cpu_sys']),
      redisRssBytes: Number(memory['used_memory_rss']),
    };
  }

  /** CPU seconds so far of each backend that works for the relay; undefined when they run elsewhere. */
  async #backends(): Promise<ReadonlyMap<number, number> | undefined> {
    const times = new Map<number, number>();
    for (const { pid, startedAt } of await this.#ownBackends()) {
      const seconds = isBackendHere(pid, startedAt) ? cpuSecondsOf(pid) : undefined;
      if (seconds === undefined) return undefined;
      times.set(pid, seconds);
    }
    return times;
  }

  async #ownBackends(): Promise<Backend[]> {
    const found = await findBackends(this.#source.postgres, this.#running.applicationName);
    return found.filter(({ pid }) => !this.#othersPids.has(pid));
  }
}

/** Who is there before the contestant is started. */
export async function backendPids(postgres: ControlPostgres): Promise<number[]> {
  return (await findBackends(postgres, '')).map(({ pid }) => pid);
}

async function findBackends(postgres: ControlPostgres, applicationName: string): Promise<Backend[]> {
  return await postgres.query<Backend>(
    `SELECT pid, extract(epoch FROM backend_start)::float8 AS "startedAt" FROM pg_stat_activity
     WHERE datname = current_database() AND starts_with(application_name, $1)`,
    // As Postgres cuts it.
    [applicationName.slice(0, 63)],
  );
}

interface Backend {
  readonly pid: number;
  /** Seconds since 1970. */
  readonly startedAt: number;
}

interface ProcessSnapshot {
  readonly relayCpu: number | undefined;
  readonly backends: ReadonlyMap<number, number> | undefined;
  readonly redisCpu: number;
  readonly redisRssBytes: number;
}

/** Of the backends that are there at the end; one that came in between counts from its start. */
function cpuOfBackends(begin: ProcessSnapshot, end: ProcessSnapshot): number | undefined {
  if (begin.backends === undefined || end.backends === undefined) return undefined;
  let seconds = 0;
  for (const [pid, time] of end.backends) seconds += time - (begin.backends.get(pid) ?? 0);
  return seconds;
}

function cost(seconds: number | undefined, events: number, peakRssBytes?: number): ProcessCost | undefined {
  if (seconds === undefined || Number.isNaN(seconds)) return undefined;
  return {
    cpuSeconds: Number(seconds.toFixed(3)),
    ...(peakRssBytes === undefined || Number.isNaN(peakRssBytes) ? {} : { peakRssBytes }),
    cpuUsPerEvent: events === 0 ? 0 : Number(((seconds * 1e6) / events).toFixed(2)),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}

const GONE_TIMEOUT_MS = 2000;
const GONE_POLL_MS = 50;
