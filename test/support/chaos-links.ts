import type { CliResult, Daemon, Env } from './cli.ts';
import { expectExact, type Oracle } from './exactness.ts';
import { FaultProxy } from './fault-proxy.ts';
import type { Outbox } from './outbox.ts';
import { appendShasOf } from './protocol-points.ts';
import { waitFor } from './wait-for.ts';
import type { Workload } from './workload.ts';

/** The two links of a relay, each through a proxy. The test itself and the workload go straight to the servers. */
export class Links implements AsyncDisposable {
  readonly postgres: FaultProxy;
  readonly redis: FaultProxy;
  /** For the relay. */
  readonly env: Env;
  readonly appendShas: readonly string[];

  private constructor(outbox: Outbox, postgres: FaultProxy, redis: FaultProxy) {
    this.postgres = postgres;
    this.redis = redis;
    this.appendShas = appendShasOf(outbox.env);
    this.env = { DATABASE_URL: postgres.url(outbox.databaseUrl), REDIS_URL: redis.url(outbox.redisUrl) };
  }

  static async open(outbox: Outbox): Promise<Links> {
    return new Links(
      outbox,
      await FaultProxy.start(outbox.databaseUrl),
      await FaultProxy.start(outbox.redisUrl),
    );
  }

  resetAll(): void {
    this.postgres.resetAll();
    this.redis.resetAll();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.postgres.close();
    await this.redis.close();
  }
}

/** What a test waits for, unless the relay gives up before: then its log is the error. */
export async function unlessExited<T>(daemon: Daemon, waiting: Promise<T>): Promise<T> {
  waiting.catch(() => undefined);
  const exited = daemon.exited.then((result) => {
    throw exitError(result);
  });
  exited.catch(() => undefined);
  return Promise.race([waiting, exited]);
}

/** The relay should not have exited, or not like that. */
export function exitError(result: CliResult): Error {
  return new Error(`the relay exited with ${result.exitCode ?? result.signal}:\n${result.stderr}`);
}

/**
 * The end of every run: producers stop, the relay catches up, the streams are what was committed, and the relay
 * stops as it should. Returns the number of events.
 */
export async function settle(
  parts: { readonly outbox: Outbox; readonly oracle: Oracle; readonly daemon: Daemon },
  workload?: Workload,
): Promise<number> {
  await workload?.stop();
  await unlessExited(parts.daemon, parts.outbox.waitUntilConfirmed(120_000));
  const events = await expectExact(parts.outbox, parts.oracle);
  const result = await parts.daemon.stop();
  if (result.exitCode !== 0) throw exitError(result);
  return events;
}

/** The sum of a metric over its labels. */
export async function readMetric(daemon: Daemon, name: string): Promise<number> {
  const response = await fetch(`${await daemon.httpUrl()}/metrics`);
  const lines = (await response.text()).split('\n').filter((line) => /^\w+/.exec(line)?.[0] === name);
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
}

/** Waits for a condition of a relay; when it does not come, or the relay gives up before, its log is told. */
export async function waitForRelay<T>(
  daemon: Daemon,
  what: string,
  probe: Parameters<typeof waitFor<T>>[1],
  timeoutMs = 60_000,
): Promise<T> {
  try {
    return await unlessExited(daemon, waitFor<T>(what, probe, timeoutMs));
  } catch (error) {
    throw new Error(`${String(error)}\nthe relay's log:\n${daemon.stderr}`, { cause: error });
  }
}

/** Waits until the relay has appended so many events since it was started. */
export async function waitForEvents(daemon: Daemon, count: number): Promise<void> {
  await waitForRelay(
    daemon,
    `${count} events`,
    async () => (await readMetric(daemon, 'walrelay_events_total')) >= count,
  );
}

/** Waits for the `count`th session to stream. */
export async function waitForSessions(daemon: Daemon, count: number): Promise<void> {
  await waitForRelay(daemon, `session ${count}`, () => streamingCount(daemon) >= count);
}

/** How many sessions have streamed. */
export function streamingCount(daemon: Daemon): number {
  return daemon.log.filter((line) => line.msg === 'streaming').length;
}

/** The codes of the errors that have ended sessions, in order. */
export function sessionErrors(daemon: Daemon): string[] {
  return daemon.log.flatMap((line) => (line.err?.code === undefined ? [] : [line.err.code]));
}

/** Longer variants, for a machine with time. */
export const isLong = process.env['CHAOS_LONG'] === '1';
