import { namesKey } from '../core/own-keys.ts';
import { unknownReply } from './redis-reply.ts';
import type { RedisNodes } from './redis-nodes.ts';
import type { RedisConnection } from './redis-connection.ts';

/**
 * The names of streams that were made from data, as a hash in Redis: how many there are is remembered over restarts. A hash
 * and not a set, since its commands are among the rights that a relay has anyway.
 */
export class StreamNames {
  readonly #redis: RedisConnection;
  readonly #key: string;

  constructor(redis: RedisNodes, metaKey: string) {
    this.#key = namesKey(metaKey);
    this.#redis = redis.nodeOf(this.#key).writer;
  }

  async read(): Promise<Set<string>> {
    const reply = await this.#redis.command('reading the names of the streams', 'HGETALL', this.#key);
    if (!Array.isArray(reply) || reply.length % 2 !== 0) throw unknownReply('HGETALL');
    return new Set(reply.filter((_, index) => index % 2 === 0).map(String));
  }

  /** On a single Redis it stands before anything that is sent after it. */
  async add(name: string): Promise<void> {
    const added = await this.#redis.command('noting the name of a stream', 'HSET', this.#key, name, '');
    if (added !== 0 && added !== 1) throw unknownReply('HSET');
  }
}
