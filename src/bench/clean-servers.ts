import { ControlPostgres } from './control-postgres.ts';
import { ControlRedis } from './control-redis.ts';
import { type Removed, removeLeftovers } from './leftovers.ts';

/** `bench clean`: what crashed runs have left on these servers is removed. */
export async function cleanServers(urls: {
  readonly databaseUrl: string;
  readonly redisUrl: string;
}): Promise<Removed[]> {
  const postgres = await ControlPostgres.open(urls.databaseUrl);
  try {
    const redis = await ControlRedis.open(urls.redisUrl);
    try {
      return await removeLeftovers({ postgres, redis });
    } finally {
      redis.close();
    }
  } finally {
    await postgres.close();
  }
}
