import type { HostPort, RedisTarget } from '../core/redis-target.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import { RedisConnection } from './redis-connection.ts';
import { unknownReply } from './redis-reply.ts';

/** Which master owns which hash slots, as one node of the cluster says. */
export interface ClusterSlots {
  readonly masters: readonly HostPort[];
  readonly ranges: readonly SlotRange[];
}

export interface SlotRange {
  /** Both ends included. */
  readonly first: number;
  readonly last: number;
  /** Place among the masters. */
  readonly master: number;
}

/** Asks the seeds in turn; throws what the last of them said when none answers. */
export async function readClusterSlots(target: RedisTarget, timeoutMs: number): Promise<ClusterSlots> {
  let failure: WalrelayError | null = null;
  for (const seed of target.seeds) {
    try {
      const connection = await RedisConnection.open(target, timeoutMs, seed);
      try {
        const reply = await connection.command('CLUSTER SLOTS', 'CLUSTER', 'SLOTS');
        return parseClusterSlots(reply, seed);
      } finally {
        connection.destroy();
      }
    } catch (error) {
      failure = toWalrelayError(error);
      if (failure.disposition !== 'retry') throw failure;
    }
  }
  throw failure ?? new WalrelayError('BUG', 'a cluster without a node to ask');
}

/**
 * An entry: first slot, last slot, the master as host, port, id …, then its replicas. An empty host is the one that was
 * asked. https://redis.io/docs/latest/commands/cluster-slots/
 */
export function parseClusterSlots(reply: unknown, asked: HostPort): ClusterSlots {
  const masters: HostPort[] = [];
  const ranges: SlotRange[] = [];
  for (const entry of Array.isArray(reply) ? reply : []) {
    const [first, last, node] = entry as [unknown, unknown, unknown];
    const [host, port] = Array.isArray(node) ? (node as unknown[]) : [];
    if (typeof first !== 'number' || typeof last !== 'number' || typeof port !== 'number') {
      throw unknownReply('CLUSTER SLOTS');
    }
    const at: HostPort = { host: typeof host === 'string' && host !== '' ? host : asked.host, port };
    let master = masters.findIndex((known) => known.host === at.host && known.port === at.port);
    if (master === -1) master = masters.push(at) - 1;
    ranges.push({ first, last, master });
  }
  if (masters.length === 0) {
    throw new WalrelayError('REDIS_NOT_READY', 'the cluster has no master that owns slots yet');
  }
  return { masters, ranges };
}
