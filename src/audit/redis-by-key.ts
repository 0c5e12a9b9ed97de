import { redisTarget } from '../config/redis-target.ts';
import type { Settings } from '../config/settings.ts';
import type { LetterGround } from '../dead-letters/find-letters.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { DurabilityWait } from '../sink/durability-wait.ts';
import { laneKeyOf } from '../sink/lane-key.ts';
import type { LaneState } from '../sink/lane-state.ts';
import { openLanes } from '../sink/open-lanes.ts';
import type { RedisConnection } from '../sink/redis-connection.ts';
import { RedisNodes } from '../sink/redis-nodes.ts';

/** Redis for whoever reads streams beside the relay: the node that holds a key, and what the lanes remember. */
export class RedisByKey implements Disposable {
  readonly #nodes: RedisNodes;
  readonly #settings: Settings;

  private constructor(nodes: RedisNodes, settings: Settings) {
    this.#nodes = nodes;
    this.#settings = settings;
  }

  static async open(settings: Settings): Promise<RedisByKey> {
    return new RedisByKey(await RedisNodes.open(redisTarget(settings), settings.redisTimeoutMs), settings);
  }

  forKey(key: string): RedisConnection {
    return this.#nodes.nodeOf(key).writer;
  }

  /** Each node once. */
  all(): readonly RedisConnection[] {
    return this.#nodes.writers;
  }

  /** The state that covers all lanes. Throws LANE_MISSING when Redis remembers nothing. */
  async readLane(): Promise<LaneState> {
    const { metaKey, redisTimeoutMs } = this.#settings;
    const durability = new DurabilityWait({ level: 'reply' }, redisTimeoutMs, () => {});
    const lane = await openLanes(this.#settings, this.#nodes, durability, null).read();
    if (lane !== null) return lane;
    throw new WalrelayError('LANE_MISSING', `Redis has no lane state ${metaKey}`, {
      hint:
        'Check REDIS_URL, WALRELAY_SLOT and WALRELAY_META_KEY. If Redis was emptied: `walrelay epoch accept`, start the ' +
        'relay, then `walrelay audit --from <time> --complete --repair`.',
    });
  }

  letterGround(): LetterGround {
    return {
      settings: this.#settings,
      redisOf: (key) => this.forKey(key),
      readLane: () => this.readLane(),
    };
  }

  /** The key of the hash that remembers a stream's lane: on a cluster each hash tag has one. */
  laneKeyOf(stream: string): string {
    const { metaKey, redisMode } = this.#settings;
    return laneKeyOf(stream, metaKey, redisMode === 'cluster');
  }

  /**
   * Which data set this is: changes when a server restarts, is promoted, or becomes the replica of another one. What was
   * read before a change and after it does not belong together.
   */
  async dataSetIdentity(): Promise<string> {
    const parts = await Promise.all(
      this.all().map(async (redis) => {
        const info = String(await redis.command('INFO', 'INFO'));
        return ['run_id', 'role', 'master_replid'].map((name) => infoField(info, name)).join(' ');
      }),
    );
    return parts.join(', ');
  }

  /** The clock of Redis, milliseconds since 1970; null where it doesn't tell. Of a cluster, of one node. */
  async nowMs(): Promise<bigint | null> {
    const info = String(await this.forKey(this.#settings.metaKey).command('INFO', 'INFO'));
    const us = infoField(info, 'server_time_usec');
    return /^\d+$/.test(us) ? BigInt(us) / 1000n : null;
  }

  [Symbol.dispose](): void {
    this.#nodes.destroy();
  }
}

function infoField(info: string, name: string): string {
  return new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(info)?.[1] ?? '';
}
