import { type RedisOptions, type RedisServer, startRedis } from './redis.ts';
import { callRedis, redisInfo, untilServers } from './redis-call.ts';

export interface ReplicaOptions extends RedisOptions {
  /** Where it reaches the primary: the port of a proxy, say, so that it can lag. */
  readonly throughPort?: number;
}

/**
 * A replica with the primary's password; resolves when it has everything that the primary had. One that was started
 * again is nobody's replica, as it has no configuration file: let it `follow`.
 */
export async function startReplica(of: RedisServer, options: ReplicaOptions = {}): Promise<RedisServer> {
  const { throughPort = of.port, args = [], ...rest } = options;
  const replica = await startRedis({
    ...rest,
    args: ['--requirepass', of.password, '--masterauth', of.password, ...args],
  });
  try {
    await follow(replica, throughPort);
  } catch (error) {
    await replica.dispose();
    throw error;
  }
  return replica;
}

/** REPLICAOF; resolves when the copy is made. */
export async function follow(replica: RedisServer, primaryPort: number): Promise<void> {
  await callRedis(replica.url, 'REPLICAOF', '127.0.0.1', primaryPort);
  await untilLinked(replica);
}

/** What a failover does. */
export async function promote(replica: RedisServer): Promise<void> {
  await callRedis(replica.url, 'REPLICAOF', 'NO', 'ONE');
}

/**
 * Makes a replica fall behind without stopping it: its link is cut, and the primary refuses a new one. So it can be
 * promoted with a hole of known size, under Sentinel and in a cluster too, where no proxy fits between the two.
 */
export async function cutReplication(primary: RedisServer, replica: RedisServer): Promise<void> {
  await callRedis(replica.url, 'CONFIG', 'SET', 'masterauth', `not ${primary.password}`);
  await untilServers('the link to be cut', async () => {
    await callRedis(primary.url, 'CLIENT', 'KILL', 'TYPE', 'replica');
    return (await redisInfo(replica.url, 'replication'))['master_link_status'] === 'down';
  });
}

/** The link comes back by itself then. */
export async function allowReplication(replica: RedisServer): Promise<void> {
  await callRedis(replica.url, 'CONFIG', 'SET', 'masterauth', replica.password);
}

export async function untilLinked(replica: RedisServer): Promise<void> {
  await untilServers(`the replica on port ${replica.port} to be in step`, async () => {
    const info = await redisInfo(replica.url, 'replication');
    return info['role'] === 'slave' && info['master_link_status'] === 'up';
  });
}
