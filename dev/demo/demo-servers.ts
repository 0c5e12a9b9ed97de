import { providePostgres } from '../servers/provide-postgres.ts';
import { provideRedis } from '../servers/provide-redis.ts';
import { type DemoPlace, defaultPlace, newDemoName, placeNamed } from './demo-place.ts';
import { removeTraces } from './remove-traces.ts';
import type { Terminal } from './terminal.ts';
import { guardTraces } from './traces-guard.ts';

export interface DemoServers {
  readonly place: DemoPlace;
  /** Leaves nothing behind, on our servers or on those that were given. */
  close(): Promise<void>;
}

/** DATABASE_URL and REDIS_URL, else servers of our own. Either may be given without the other. */
export async function openServers(terminal: Terminal): Promise<DemoServers> {
  const { DATABASE_URL: givenDatabaseUrl, REDIS_URL: givenRedisUrl } = process.env;
  const started = await Promise.allSettled([
    providePostgres({ urlFromEnv: givenDatabaseUrl }),
    provideRedis({ urlFromEnv: givenRedisUrl }),
  ]);
  const [postgres, redis] = started;
  if (postgres.status === 'rejected' || redis.status === 'rejected') {
    for (const server of started) if (server.status === 'fulfilled') await server.value.dispose();
    throw postgres.status === 'rejected' ? postgres.reason : (redis as PromiseRejectedResult).reason;
  }
  const urls = { databaseUrl: postgres.value.url, redisUrl: redis.value.url };
  const isAnyGiven = [givenDatabaseUrl, givenRedisUrl].some((url) => url !== undefined && url !== '');
  const place = isAnyGiven ? placeNamed(newDemoName(), urls) : defaultPlace(urls);

  terminal.line(`Postgres  ${postgres.value.description}`);
  terminal.line(`Redis     ${redis.value.description}`);
  if (place.name !== null) {
    terminal.line(`Names     ${place.name}: schema, slot, publication and keys; removed at the end`);
  }
  const guard = guardTraces(place);
  return {
    place,
    close: async () => {
      try {
        if (place.name !== null) {
          await removeTraces(place);
          terminal.line(`\nRemoved ${place.name} from your servers.`);
        }
        guard.dismiss();
      } finally {
        await Promise.all([postgres.value.dispose(), redis.value.dispose()]);
      }
    },
  };
}
