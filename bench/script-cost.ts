import type { Batch } from '../src/sink/batch.ts';
import { Lane, loadScripts } from '../src/sink/lane.ts';
import { RedisConnection } from '../src/sink/redis-connection.ts';
import { ORIGIN, positionToHex } from '../src/core/position.ts';
import { startRedis } from '../dev/servers/redis.ts';
import { NATIVE_APPENDING } from '../test/support/native-outbox.ts';

const LANE_KEY = 'walrelay:bench';
const ROUNDS = 200;

export interface ScriptCost {
  readonly eventsPerBatch: number;
  /** By INFO commandstats, of the whole script and of the XADDs in it. */
  readonly scriptUsPerEvent: number;
  readonly xaddUsPerEvent: number;
  /** By INFO cpu: everything that the server did. */
  readonly serverCpuUsPerEvent: number;
}

/** What the append script costs in a Redis of its own, for batches as the relay makes them. */
export async function scriptCost(batches: readonly Batch[]): Promise<ScriptCost[]> {
  const server = await startRedis({ args: ['--appendonly', 'no', '--save', ''] });
  const redis = await RedisConnection.open(
    {
      url: server.url,
      mode: 'standalone',
      seeds: [],
      sentinelMaster: '',
      sentinelPassword: undefined,
      tls: null,
    },
    10_000,
  );
  try {
    const costs: ScriptCost[] = [];
    for (const batch of batches) costs.push(await costOf(batch, redis));
    return costs;
  } finally {
    redis.destroy();
    await server.dispose();
  }
}

async function costOf(batch: Batch, redis: RedisConnection): Promise<ScriptCost> {
  const lane = new Lane({ writer: redis, waiter: redis }, LANE_KEY, NATIVE_APPENDING);
  await redis.command('clearing', 'FLUSHALL');
  await redis.command('making a lane', 'HSET', LANE_KEY, 'epoch', '', 'fence', '');
  await loadScripts(redis, NATIVE_APPENDING);
  await redis.command('clearing the statistics', 'CONFIG', 'RESETSTAT');
  const before = await cpuUs(redis);
  for (let round = 0; round < ROUNDS; round += 1) {
    // The same batch again: as if it had never been.
    await redis.command('going back', 'HSET', LANE_KEY, 'watermark', positionToHex(ORIGIN));
    await lane.append(batch);
  }
  const after = await cpuUs(redis);
  const stats = String(await redis.command('reading statistics', 'INFO', 'commandstats'));
  const events = ROUNDS * batch.eventCount;
  return {
    eventsPerBatch: batch.eventCount,
    scriptUsPerEvent: usOf(stats, 'evalsha') / events,
    xaddUsPerEvent: usOf(stats, 'xadd') / events,
    serverCpuUsPerEvent: (after - before) / events,
  };
}

async function cpuUs(redis: RedisConnection): Promise<number> {
  const info = String(await redis.command('reading the CPU time', 'INFO', 'cpu'));
  const seconds = (name: string) => Number(new RegExp(`${name}:([0-9.]+)`).exec(info)?.[1]);
  return (seconds('used_cpu_user') + seconds('used_cpu_sys')) * 1e6;
}

function usOf(commandstats: string, command: string): number {
  return Number(new RegExp(`cmdstat_${command}:calls=\\d+,usec=(\\d+)`).exec(commandstats)?.[1]);
}
