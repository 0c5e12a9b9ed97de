import { registerKey } from '../core/own-keys.ts';
import type { RedisConnection } from './redis-connection.ts';
import { unknownReply } from './redis-reply.ts';

/**
 * The names of the streams that this relay has written to, as a set in Redis: what is trimmed. Not found by the pattern of
 * WALRELAY_STREAM: a pattern may fit streams of somebody else, and looking for it means a look at every key there is.
 */
export class StreamRegister {
  readonly #redis: RedisConnection;
  readonly #key: string;

  constructor(redis: RedisConnection, metaKey: string) {
    this.#redis = redis;
    this.#key = registerKey(metaKey);
  }

  async add(names: readonly string[]): Promise<void> {
    for (let from = 0; from < names.length; from += NAMES_PER_CALL) {
      const some = names.slice(from, from + NAMES_PER_CALL);
      await this.#redis.command('noting the streams that are trimmed', 'SADD', this.#key, ...some);
    }
  }

  async remove(name: string): Promise<void> {
    await this.#redis.command('forgetting a stream that is gone', 'SREM', this.#key, name);
  }

  /** Each name at least once, a page at a time. */
  async *pages(): AsyncGenerator<string[]> {
    let cursor = '0';
    do {
      const reply = await this.#redis.command(
        'reading the streams that are trimmed',
        'SSCAN',
        this.#key,
        cursor,
        'COUNT',
        NAMES_PER_PAGE,
      );
      if (!Array.isArray(reply) || !Array.isArray(reply[1])) throw unknownReply('SSCAN');
      cursor = String(reply[0]);
      yield (reply[1] as unknown[]).map(String);
    } while (cursor !== '0');
  }
}

const NAMES_PER_CALL = 500;
const NAMES_PER_PAGE = 200;
