import { Redis } from 'ioredis';
import type { RedisBinary } from '../../dev/servers/redis-binary.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { RedisConnection } from '../../src/sink/redis-connection.ts';
import {
  StreamTrimmer,
  type TrimLimits,
  type TrimRule,
  type TrimStep,
} from '../../src/sink/stream-trimmer.ts';

export const LANE = 'lane';
const HOLD = { epoch: 1, fence: 7 };

/** One for every stream. */
export interface FixedRule extends Omit<TrimRule, 'limitsOf'>, TrimLimits {}

/** Trims what is acknowledged at once. */
export const SAFE: FixedRule = { mode: 'safe', lengthMax: null, ageMaxMs: 0, ignoredGroups: [] };

/** A Redis with a lane that one session holds, and connections beside that session's. */
export class TrimServer implements AsyncDisposable {
  readonly server: RedisServer;
  readonly redis: Redis;
  /** As the relay has it. */
  readonly connection: RedisConnection;
  readonly #connections: Redis[] = [];

  private constructor(server: RedisServer, redis: Redis, connection: RedisConnection) {
    this.server = server;
    this.redis = redis;
    this.connection = connection;
  }

  static async start(options: { binary?: RedisBinary; args?: readonly string[] } = {}): Promise<TrimServer> {
    const server = await startRedis(options);
    const redis = new Redis(server.url, { protocol: 2 });
    await redis.hset(LANE, { epoch: HOLD.epoch, fence: HOLD.fence, watermark: '0' });
    const target = {
      mode: 'standalone',
      url: server.url,
      seeds: [],
      sentinelMaster: '',
      sentinelPassword: undefined,
      tls: null,
    } as const;
    return new TrimServer(server, redis, await RedisConnection.open(target, 30_000));
  }

  connect(): Redis {
    const redis = new Redis(this.server.url, { protocol: 2 });
    this.#connections.push(redis);
    return redis;
  }

  /** A session's view; one that was replaced when `fence` says so. */
  trimmer(rule: FixedRule, fence = HOLD.fence): StreamTrimmer {
    return new StreamTrimmer({ ...rule, limitsOf: () => rule }, { ...HOLD, fence });
  }

  /** A round on one stream, in steps of `limit`; resolves with its first step. */
  async trim(
    stream: string,
    rule: FixedRule,
    limit = 1000,
  ): Promise<{ readonly first: TrimStep; removed: number }> {
    const trimmer = this.trimmer(rule);
    const first = await trimmer.step(this.connection, { lane: LANE, stream }, limit, null);
    let removed = first.removed;
    for (let last = first; last.removed > 0; removed += last.removed) {
      last = await trimmer.step(this.connection, { lane: LANE, stream }, limit, first);
    }
    return { first, removed };
  }

  /** Appends so many entries and returns their IDs. They are older than the clock says when it resolves: of an age. */
  async fill(stream: string, count: number, payload = 'x'): Promise<string[]> {
    const ids: string[] = [];
    for (let done = 0; done < count; done += FILL_STEP) {
      const some = Math.min(FILL_STEP, count - done);
      ids.push(...((await this.redis.eval(FILL, 1, stream, some, payload)) as string[]));
    }
    const newestMs = Number(ids.at(-1)?.split('-')[0] ?? 0);
    for (let nowMs = newestMs; nowMs <= newestMs; ) {
      const [seconds, microseconds] = await this.redis.time();
      nowMs = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
    }
    return ids;
  }

  async ids(stream: string): Promise<string[]> {
    return (await this.redis.xrange(stream, '-', '+')).map(([id]) => id);
  }

  /** The group's consumer reads so many entries; their IDs. */
  async read(stream: string, group: string, count: number, consumer = 'c'): Promise<string[]> {
    return readGroup(this.redis, stream, group, count, consumer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.destroy();
    for (const redis of [this.redis, ...this.#connections]) redis.disconnect();
    await this.server.dispose();
  }
}

export async function readGroup(
  redis: Redis,
  stream: string,
  group: string,
  count: number,
  consumer: string,
): Promise<string[]> {
  const reply = await redis.call(
    'XREADGROUP',
    'GROUP',
    group,
    consumer,
    'COUNT',
    count,
    'STREAMS',
    stream,
    '>',
  );
  if (reply === null) return [];
  // RESP2 has a list of pairs, RESP3 a flat list or a map: the one stream's entries come last in each.
  const last = (Array.isArray(reply) ? reply : Object.values(reply as object)).at(-1) as unknown[];
  const entries = (last.length === 2 && last[0] === stream ? last[1] : last) as [string, string[]][];
  return entries.map(([id]) => id);
}

const FILL_STEP = 5000;
const FILL = `
local ids = {}
for n = 1, tonumber(ARGV[1]) do ids[n] = redis.call('XADD', KEYS[1], '*', 'id', tostring(n), 'payload', ARGV[2]) end
return ids
`;
