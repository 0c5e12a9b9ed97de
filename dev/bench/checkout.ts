import type { Checkout } from '../../src/cli/bench-checkout.ts';
import { build } from '../build.ts';
import { providePostgres } from '../servers/provide-postgres.ts';
import { provideRedis } from '../servers/provide-redis.ts';
import { peers } from './peers/peers.ts';

/** What `walrelay bench` finds in a checkout; see src/cli/bench-checkout.ts. */
export const checkout: Checkout = {
  peers,

  build,

  async startServers() {
    const started = await Promise.allSettled([providePostgres({}), provideRedis({})]);
    const [postgres, redis] = started;
    if (postgres.status === 'rejected' || redis.status === 'rejected') {
      for (const server of started) if (server.status === 'fulfilled') await server.value.dispose();
      throw postgres.status === 'rejected' ? postgres.reason : (redis as PromiseRejectedResult).reason;
    }
    return {
      databaseUrl: postgres.value.url,
      redisUrl: redis.value.url,
      descriptions: [postgres.value.description, redis.value.description],
      async dispose() {
        await Promise.all([postgres.value.dispose(), redis.value.dispose()]);
      },
    };
  },
};
