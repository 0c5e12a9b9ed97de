import { clientConfig } from '../config/client-config.ts';
import { redisExpectations } from '../config/redis-expectations.ts';
import { redisTarget } from '../config/redis-target.ts';
import type { Settings } from '../config/settings.ts';
import type { Lsn } from '../core/lsn.ts';
import { DurabilityWait } from '../sink/durability-wait.ts';
import type { LaneSet } from '../sink/lane-set.ts';
import { historiesOf, type LaneState } from '../sink/lane-state.ts';
import { openLanes } from '../sink/open-lanes.ts';
import type { RedisConnection } from '../sink/redis-connection.ts';
import { RedisNodes } from '../sink/redis-nodes.ts';
import { findRedisProblems, readRedisFacts } from '../sink/redis-preflight.ts';
import type { Catalog } from '../source/catalog.ts';
import { ReplicationConnection } from '../source/replication-connection.ts';
import { readForkLsn, readSystemIdentity, type SystemIdentity } from '../source/system-identity.ts';
import { readCatalog, readWalEnd } from './connect.ts';
import { checkHistory } from './history-guard.ts';
import { type RelayShape, relayShape } from './relay-shape.ts';

/** Both servers, connected, for a command that looks or sets up and does not stream. */
export class Ground implements AsyncDisposable {
  readonly settings: Settings;
  readonly shape: RelayShape;
  readonly postgres: ReplicationConnection;
  /** The node that holds the lane state; on a single Redis, the server. */
  readonly redis: RedisConnection;
  readonly nodes: RedisNodes;
  readonly lanes: LaneSet;

  private constructor(settings: Settings, postgres: ReplicationConnection, nodes: RedisNodes) {
    this.settings = settings;
    this.shape = relayShape(settings);
    this.postgres = postgres;
    this.nodes = nodes;
    this.redis = nodes.nodeOf(settings.metaKey).writer;
    this.lanes = openLanes(
      settings,
      nodes,
      new DurabilityWait({ level: 'reply' }, settings.redisTimeoutMs, () => {}),
      this.shape.appending,
    );
  }

  /** Throws when a server can't be reached or Redis is none to trust with streams. */
  static async open(settings: Settings, holder: string): Promise<Ground> {
    const nodes = await RedisNodes.open(redisTarget(settings), settings.redisTimeoutMs);
    try {
      for (const node of nodes.writers) {
        const [problem] = findRedisProblems(await readRedisFacts(node), redisExpectations(settings));
        if (problem !== undefined) throw problem;
      }
      return new Ground(settings, await ReplicationConnection.open(clientConfig(settings, holder)), nodes);
    } catch (error) {
      nodes.destroy();
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
    this.nodes.destroy();
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
  const query = (sql: string) => postgres.query(sql);
  const forkLsns = new Map<number, Lsn>();
  for (const { systemId, timeline } of historiesOf(lane)) {
    if (systemId !== identity.systemId || forkLsns.has(timeline)) continue;
    const forkLsn = await readForkLsn(query, identity.timeline, timeline);
    if (forkLsn !== null) forkLsns.set(timeline, forkLsn);
  }
  checkHistory({
    lane,
    identity,
    catalog: { ...catalog, server: { ...catalog.server, walEndLsn } },
    slot: settings.slot,
    metaKey: settings.metaKey,
    forkLsns,
  });
}

const GOODBYE_TIMEOUT_MS = 500;
