import { Cluster, Redis } from 'ioredis';

/** A connection that outlives its server, or the nodes of a cluster behind the same commands. */
export function openRedis(url: string, isCluster: boolean): Redis {
  if (!isCluster) {
    const redis = new Redis(url, { maxRetriesPerRequest: null });
    redis.on('error', () => undefined);
    return redis;
  }
  const { hostname, port, password } = new URL(url);
  const cluster = new Cluster([{ host: hostname, port: Number(port) }], {
    redisOptions: { password: decodeURIComponent(password), maxRetriesPerRequest: null },
    clusterRetryStrategy: () => 100,
    retryDelayOnFailover: 100,
    slotsRefreshTimeout: 5_000,
    slotsRefreshInterval: 1_000,
  });
  cluster.on('error', () => undefined);
  // Of all nodes, where a single node would tell of its own keys only.
  const keys = async (pattern: string): Promise<string[]> => {
    const found = cluster.nodes('master').map(async (node) => await node.keys(pattern));
    return [...new Set((await Promise.all(found)).flat())];
  };
  return Object.assign(cluster, { keys }) as unknown as Redis;
}
