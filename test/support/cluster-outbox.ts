import { Redis } from 'ioredis';
import type { RedisCluster } from '../../dev/servers/redis-cluster.ts';
import type { Env } from './cli.ts';
import { compareStreams, type RelayedEvent } from './compare-streams.ts';
import { expectFlawless, expectFloorNoted, type Oracle, readEntries } from './exactness.ts';
import type { Outbox, OutboxOptions } from './outbox.ts';
import { createOutbox } from './servers.ts';

/** An outbox on a cluster of the test file's own; its `redis` reaches all nodes. */
export function createClusterOutbox(
  cluster: RedisCluster,
  env: Env = {},
  options: Partial<OutboxOptions> = {},
): Promise<Outbox> {
  return createOutbox({
    ...options,
    redisUrl: cluster.url,
    isRedisOwn: true,
    isRedisCluster: true,
    env: { WALRELAY_REDIS_MODE: 'cluster', WALRELAY_REDIS_NODES: cluster.addresses.join(','), ...env },
  });
}

/** The streams of an outbox, spread over the lanes of a cluster: one lane for each aggregate type. */
export class ClusterStreams {
  readonly #outbox: Outbox;
  readonly #cluster: RedisCluster;

  constructor(outbox: Outbox, cluster: RedisCluster) {
    this.#outbox = outbox;
    this.#cluster = cluster;
  }

  /** What comes on top of the outbox's own settings: its stream's name, with braces around the type. */
  streamEnv(): Env {
    return { WALRELAY_STREAM: `${this.#outbox.name}.{\${aggregatetype}}` };
  }

  /** By the names that the oracle gives the streams: without braces. */
  async read(): Promise<Map<string, RelayedEvent[]>> {
    const streams = new Map<string, RelayedEvent[]>();
    for (const { url } of this.#cluster.nodes) {
      // Connections of its own: a node that died a moment ago may have left one behind that is closed.
      const node = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
      node.on('error', () => undefined);
      try {
        const isUp = await node.connect().then(
          () => true,
          () => false,
        );
        if (!isUp || (await node.role())[0] !== 'master') continue;
        for (const [name, entries] of await readEntries(node, this.#outbox.name)) {
          const stream = name.replaceAll(/[{}]/g, '');
          streams.set(
            stream,
            entries.map((entry) => ({ ...entry, stream })),
          );
        }
      } finally {
        node.disconnect();
      }
    }
    return streams;
  }

  /** Exact set, no duplicate, commit order, every byte; and floor ≥ confirmed_flush. Returns the number of events. */
  async expectExact(oracle: Oracle): Promise<number> {
    const exactness = compareStreams(await oracle.read(), await this.read());
    expectFlawless(exactness);
    await expectFloorNoted(this.#outbox);
    return exactness.events;
  }
}
