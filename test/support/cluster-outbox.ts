import { Cluster, Redis } from 'ioredis';
import type { RedisCluster } from '../../dev/servers/redis-cluster.ts';
import { lsnFromHex, parseLsn } from '../../src/core/lsn.ts';
import type { Env } from './cli.ts';
import { compareStreams, type RelayedEvent } from './compare-streams.ts';
import { expectFlawless, type Oracle, readEntries } from './exactness.ts';
import type { Outbox } from './outbox.ts';

/** An outbox whose streams are spread over the lanes of a cluster, one lane for each aggregate type. */
export class ClusterStreams implements AsyncDisposable {
  readonly client: Cluster;
  readonly #outbox: Outbox;
  readonly #cluster: RedisCluster;

  constructor(outbox: Outbox, cluster: RedisCluster) {
    this.#outbox = outbox;
    this.#cluster = cluster;
    this.client = new Cluster([...cluster.addresses], {
      redisOptions: { password: cluster.password },
      clusterRetryStrategy: () => 100,
    });
    this.client.on('error', () => undefined);
  }

  /** What comes on top of an outbox's own settings. The stream's name is the outbox's, with braces around the type. */
  static env(cluster: RedisCluster): Env {
    return {
      WALRELAY_REDIS_MODE: 'cluster',
      WALRELAY_REDIS_NODES: cluster.addresses.join(','),
    };
  }

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
    const confirmed = parseLsn(await this.#outbox.confirmedLsn());
    const floor = await this.client.hget(this.#outbox.metaKey, 'floor');
    if (floor === null || lsnFromHex(floor) < confirmed)
      throw new Error(`the floor is ${floor}, but Postgres was told ${confirmed}`);
    return exactness.events;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.disconnect();
    await Promise.resolve();
  }
}
