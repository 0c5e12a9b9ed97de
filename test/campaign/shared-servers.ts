import { providePostgres } from '../../dev/servers/provide-postgres.ts';
import { provideRedis } from '../../dev/servers/provide-redis.ts';
import type { ProvidedServer } from '../../dev/servers/provided-server.ts';

/** The Postgres and the Redis of all rows that don't break a server. Started when the first row asks. */
export class SharedServers implements AsyncDisposable {
  #starting: Promise<readonly [ProvidedServer<unknown>, ProvidedServer<unknown>]> | undefined;

  async urls(): Promise<{ readonly databaseUrl: string; readonly redisUrl: string }> {
    const [postgres, redis] = await this.#start();
    return { databaseUrl: postgres.url, redisUrl: redis.url };
  }

  async descriptions(): Promise<readonly [string, string]> {
    const [postgres, redis] = await this.#start();
    return [postgres.description, redis.description];
  }

  async #start(): Promise<readonly [ProvidedServer<unknown>, ProvidedServer<unknown>]> {
    this.#starting ??= Promise.all([
      providePostgres({ urlFromEnv: process.env['TEST_DATABASE_URL'] }),
      provideRedis({ urlFromEnv: process.env['TEST_REDIS_URL'] }),
    ]);
    return await this.#starting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const starting = this.#starting;
    this.#starting = undefined;
    if (starting === undefined) return;
    for (const server of await starting) await server.dispose();
  }
}
