import { startPostgres } from '../../dev/servers/postgres.ts';
import { postgresFlavour } from '../../dev/servers/postgres-flavour.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { redisFlavour } from '../../dev/servers/redis-flavour.ts';
import { runRow } from '../campaign/run-row.ts';
import type { Check } from './check.ts';
import type { Pair } from './server-versions.ts';

export interface CheckResult {
  readonly check: Check;
  readonly outcome: 'passed' | 'failed' | 'not offered';
  /** Why it failed, or what the servers don't have. */
  readonly cause?: string;
  readonly logFile?: string;
  readonly events: number;
  readonly elapsedMs: number;
}

export interface CellResult {
  readonly pair: Pair;
  /** As the servers call themselves; null when they can't be had. */
  readonly versions: { readonly postgres: string; readonly redis: string } | null;
  readonly outcome: 'passed' | 'failed' | 'not offered' | 'interrupted';
  /** Why there was nothing to run, or no server came up. */
  readonly cause?: string;
  readonly checks: readonly CheckResult[];
  readonly elapsedMs: number;
}

export interface CellOptions {
  readonly checks: readonly Check[];
  readonly seed: number;
  readonly logDir: string;
  readonly interrupted: Promise<void>;
  onStep(text: string): void;
  onCheck(result: CheckResult): void;
}

/** Well above what any of them takes; a machine with other work is slow. */
const CHECK_LIMIT_SECONDS = 180;

/** Starts the two servers, runs every check on them, one after the other, and ends them. Never throws. */
export async function runCell(pair: Pair, options: CellOptions): Promise<CellResult> {
  const startedAtMs = performance.now();
  const result = (parts: Omit<CellResult, 'pair' | 'elapsedMs'>): CellResult => ({
    pair,
    elapsedMs: performance.now() - startedAtMs,
    ...parts,
  });
  const [foundPostgres, foundRedis] = await Promise.all([
    postgresFlavour(pair.postgres),
    redisFlavour(pair.redis),
  ]);
  for (const found of [foundPostgres, foundRedis]) {
    if ('missing' in found)
      return result({ versions: null, outcome: 'not offered', cause: found.missing, checks: [] });
  }
  if ('missing' in foundPostgres || 'missing' in foundRedis) throw new Error('unreachable');
  const checks: CheckResult[] = [];
  const versions = {
    postgres: /\d+(\.\d+)?/.exec(foundPostgres.description)?.[0] ?? String(pair.postgres),
    redis: foundRedis.product,
  };
  try {
    options.onStep('starting the servers');
    // Each check has slots of its own, and some lose them.
    const settings = { max_replication_slots: '40', max_wal_senders: '40' };
    await using postgres = await startPostgres({ ...foundPostgres.options, settings });
    await using redis = await startRedis({ binary: foundRedis, args: ['--appendfsync', 'always'] });
    let isInterrupted = false;
    void options.interrupted.then(() => {
      isInterrupted = true;
    });
    for (const check of options.checks) {
      if (isInterrupted) break;
      const missing = check.notOffered?.(pair) ?? null;
      if (missing !== null) {
        const skipped = { check, outcome: 'not offered', cause: missing, events: 0, elapsedMs: 0 } as const;
        checks.push(skipped);
        options.onCheck(skipped);
        continue;
      }
      const run = await runRow(
        {
          id: `matrix-${pair.postgres}-${pair.redis}-${check.id}`,
          fault: check.what,
          must: 'OK',
          runs: 1,
          limitSeconds: CHECK_LIMIT_SECONDS,
          run: (context) => check.run(context, { pair, postgres, redis, redisBinary: foundRedis }),
        },
        {
          seed: options.seed,
          servers: { urls: () => Promise.resolve({ databaseUrl: postgres.url, redisUrl: redis.url }) },
          logDir: options.logDir,
          interrupted: options.interrupted,
          onStep: (text) => options.onStep(`${check.id}: ${text}`),
          onMilestone: () => undefined,
        },
      );
      if (run.outcome === 'interrupted') break;
      const { outcome, elapsedMs, cause, logFile } = run;
      const done: CheckResult = {
        check,
        outcome,
        events: run.tally.events,
        elapsedMs,
        ...(cause === undefined ? {} : { cause }),
        ...(logFile === undefined ? {} : { logFile }),
      };
      checks.push(done);
      options.onCheck(done);
      // What the check has left down would fail all that follow, for no reason of their own.
      if (!postgres.isRunning) await postgres.start();
      if (!isRunning(redis)) await redis.start();
    }
    if (isInterrupted) return result({ versions, outcome: 'interrupted', checks });
  } catch (error) {
    return result({ versions, outcome: 'failed', cause: String(error), checks });
  }
  const hasFailed = checks.some(({ outcome }) => outcome === 'failed');
  return result({ versions, outcome: hasFailed ? 'failed' : 'passed', checks });
}

/** Only a server that runs has a process. */
function isRunning(redis: RedisServer): boolean {
  try {
    return redis.pid > 0;
  } catch {
    return false;
  }
}
