import { Redis } from 'ioredis';
import { WalrelayError } from '../core/walrelay-error.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const SCAN_COUNT = 5000;

/** The bench's own connection to Redis. */
export class ControlRedis {
  readonly #redis: Redis;

  private constructor(redis: Redis) {
    this.#redis = redis;
  }

  static async open(redisUrl: string): Promise<ControlRedis> {
    const redis = new Redis(redisUrl, {
      protocol: 2,
      lazyConnect: true,
      retryStrategy: () => null,
      maxRetriesPerRequest: 0,
      connectTimeout: CONNECT_TIMEOUT_MS,
      connectionName: 'walrelay-bench',
    });
    let reason: Error | undefined;
    redis.on('error', (error: Error) => {
      reason ??= error;
    });
    try {
      await redis.connect();
      await redis.ping();
    } catch (error) {
      redis.disconnect();
      const said = reason ?? (error as Error);
      const code = /^(NOAUTH|WRONGPASS)/.test(said.message) ? 'REDIS_AUTH' : 'REDIS_UNREACHABLE';
      throw new WalrelayError(code, `could not connect to Redis: ${said.message || said.name}`, {
        cause: said,
      });
    }
    return new ControlRedis(redis);
  }

  /** The entries that stand in all of the streams. */
  async lengthOf(streams: readonly string[]): Promise<number> {
    const pipeline = this.#redis.pipeline();
    for (const stream of streams) pipeline.xlen(stream);
    const replies = (await pipeline.exec()) ?? [];
    return replies.reduce((sum, [error, length]) => {
      if (error !== null) throw error;
      return sum + Number(length);
    }, 0);
  }

  /** A section of INFO as names and values. */
  async info(section: string): Promise<Readonly<Record<string, string>>> {
    const text = await this.#redis.info(section);
    const lines = text.split('\r\n').filter((line) => line.includes(':'));
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
    );
  }

  /** Undefined where CONFIG may not be read, as with most providers. */
  async setting(name: string): Promise<string | undefined> {
    const reply = await this.#redis.config('GET', name).catch(() => undefined);
    return Array.isArray(reply) ? reply[1] : undefined;
  }

  async get(key: string): Promise<string | null> {
    return await this.#redis.get(key);
  }

  async setForSeconds(key: string, value: string, seconds: number): Promise<void> {
    await this.#redis.set(key, value, 'EX', seconds);
  }

  /** All keys that begin with `prefix`; SCAN, so that a large Redis goes on serving others. */
  async *keysFrom(prefix: string): AsyncGenerator<string[]> {
    const pattern = `${prefix.replaceAll(/[*?[\]\\]/g, String.raw`\$&`)}*`;
    for (let cursor = '0'; ; ) {
      const [next, keys] = await this.#redis.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT);
      if (keys.length > 0) yield keys;
      cursor = next;
      if (cursor === '0') return;
    }
  }

  /** Removes keys; those that are not there don't matter. */
  async remove(keys: readonly string[]): Promise<void> {
    for (let from = 0; from < keys.length; from += SCAN_COUNT)
      await this.#redis.unlink(...keys.slice(from, from + SCAN_COUNT));
  }

  /** Removes every key that begins with `prefix`; returns their number. */
  async removeFrom(prefix: string): Promise<number> {
    let removed = 0;
    for await (const keys of this.keysFrom(prefix)) removed += await this.#redis.unlink(...keys);
    return removed;
  }

  close(): void {
    this.#redis.disconnect();
  }
}
