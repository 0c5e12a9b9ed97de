import { clientConfig } from '../config/client-config.ts';
import { redisExpectations } from '../config/redis-expectations.ts';
import type { Settings } from '../config/settings.ts';
import { Lane } from '../sink/lane.ts';
import type { LaneState } from '../sink/lane-state.ts';
import { RedisConnection } from '../sink/redis-connection.ts';
import { findRedisProblems, readRedisFacts } from '../sink/redis-preflight.ts';
import type { Catalog } from '../source/catalog.ts';
import { ReplicationConnection } from '../source/replication-connection.ts';
import { readForkLsn, readSystemIdentity, type SystemIdentity } from '../source/system-identity.ts';
import { readCatalog, readWalEnd } from './connect.ts';
import { checkHistory } from './history-guard.ts';
import { type OutboxShape, outboxShape } from './outbox-shape.ts';

/** Both servers, connected, for a command that looks or sets up and does not stream. */
export class Ground implements AsyncDisposable {
  readonly settings: Settings;
  readonly shape: OutboxShape;
  readonly postgres: ReplicationConnection;
  readonly redis: RedisConnection;
  readonly lane: Lane;

  private constructor(settings: Settings, postgres: ReplicationConnection, redis: RedisConnection) {
    this.settings = settings;
    this.shape = outboxShape(settings);
    this.postgres = postgres;
    this.redis = redis;
    this.lane = new Lane(redis, settings.metaKey);
  }

  /** Throws when a server can't be reached or Redis is none to trust with streams. */
  static async open(settings: Settings, holder: string): Promise<Ground> {
    const redis = await RedisConnection.open(settings.redisUrl, settings.redisTimeoutMs);
    try {
      const [problem] = findRedisProblems(await readRedisFacts(redis), redisExpectations(settings));
      if (problem !== undefined) throw problem;
      return new Ground(settings, await ReplicationConnection.open(clientConfig(settings, holder)), redis);
    } catch (error) {
      redis.destroy();
      throw error;
    }
  }

  readCatalog(): Promise<Catalog> {
    return readCatalog(this.postgres, this.shape.expected);
  }

  readIdentity(): Promise<SystemIdentity> {
    return readSystemIdentity((sql) => this.postgres.query(sql));
  }

  /** Throws the first reason why Redis and Postgres do not belong to one unbroken history. */
  async checkHistory(lane: LaneState, catalog: Catalog, identity: SystemIdentity): Promise<void> {
    await guardHistory(this.postgres, this.settings, { lane, catalog, identity });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.redis.destroy();
    await this.postgres.close(GOODBYE_TIMEOUT_MS);
  }
}

export async function guardHistory(
  postgres: ReplicationConnection,
  settings: Settings,
  facts: { readonly lane: LaneState; readonly catalog: Catalog; readonly identity: SystemIdentity },
): Promise<void> {
  const { lane, catalog, identity } = facts;
  // Another relay may have moved on since the catalog was read: its floor only grows, and so must be read after the
  // slot's position; but the end of the WAL must be read after the watermark.
  const walEndLsn = await readWalEnd(postgres);
  const isSameCluster = lane.systemId === identity.systemId;
  checkHistory({
    lane,
    identity,
    catalog: { ...catalog, server: { ...catalog.server, walEndLsn } },
    slot: settings.slot,
    metaKey: settings.metaKey,
    forkLsn: isSameCluster
      ? await readForkLsn((sql) => postgres.query(sql), identity.timeline, lane.timeline)
      : null,
  });
}

const GOODBYE_TIMEOUT_MS = 500;
