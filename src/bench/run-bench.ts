import { BenchGround } from './bench-ground.ts';
import type { BenchHost } from './bench-host.ts';
import type { BenchOptions, BenchProgress } from './bench-options.ts';
import type { BenchReport } from './bench-report.ts';
import { ControlPostgres } from './control-postgres.ts';
import { ControlRedis } from './control-redis.ts';
import { removeLeftovers } from './leftovers.ts';
import { Measurement } from './measurement.ts';

/**
 * The whole bench: removes what crashed runs have left, measures every contestant in every scenario, and takes away
 * all that it made, whatever happens. When `signal` is aborted, the report has what was measured by then.
 */
export async function runBench(
  options: BenchOptions,
  host: BenchHost,
  progress: BenchProgress,
): Promise<BenchReport> {
  const startedAt = new Date().toISOString();
  const postgres = await ControlPostgres.open(options.databaseUrl);
  let redis: ControlRedis | undefined;
  let ground: BenchGround | undefined;
  try {
    redis = await ControlRedis.open(options.redisUrl);
    progress.removedLeftovers(await removeLeftovers({ postgres, redis }));
    options.signal.throwIfAborted();
    ground = await BenchGround.open(postgres, redis);
    const measurement = new Measurement(options, host, progress, {
      postgres,
      redis,
      ground,
      guard: options.guard,
    });
    return await measurement.run(startedAt);
  } finally {
    progress.step('cleaning up');
    await options.guard.close();
    await ground?.close();
    redis?.close();
    await postgres.close();
  }
}
