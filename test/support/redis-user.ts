import { randomBytes } from 'node:crypto';
import type { Outbox } from './outbox.ts';

/** A Redis user that goes with dispose. */
export class RedisUser implements AsyncDisposable {
  readonly url: string;
  readonly #outbox: Outbox;

  private constructor(outbox: Outbox, url: string) {
    this.#outbox = outbox;
    this.url = url;
  }

  static async create(outbox: Outbox, ...rules: string[]): Promise<RedisUser> {
    const password = randomBytes(12).toString('hex');
    await outbox.redis.call('ACL', 'SETUSER', outbox.name, 'reset', 'on', `>${password}`, ...rules);
    const url = new URL(outbox.redisUrl);
    url.username = outbox.name;
    url.password = password;
    return new RedisUser(outbox, url.href);
  }

  /** Takes away all rights but these; the password stays. */
  async reset(...rules: string[]): Promise<void> {
    await this.#outbox.redis.call('ACL', 'SETUSER', this.#outbox.name, 'resetkeys', '-@all', ...rules);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#outbox.redis.call('ACL', 'DELUSER', this.#outbox.name);
  }
}
