import type { TestProject } from 'vitest/node';
import { build } from '../../dev/build.ts';
import { providePostgres } from '../../dev/servers/provide-postgres.ts';
import { provideRedis } from '../../dev/servers/provide-redis.ts';
import type { ProvidedServers } from './provided.ts';

interface Servers extends ProvidedServers {
  dispose(): Promise<void>;
}

interface SharedServers {
  users: number;
  starting: Promise<Servers> | undefined;
}

/**
 * vitest loads this file once for each project, with a module cache of its own, but in one process: the global
 * object is what they share. The last project to leave stops the servers.
 */
const SHARED_KEY = Symbol.for('walrelay.test.servers');
const shared: SharedServers = ((globalThis as { [SHARED_KEY]?: SharedServers })[SHARED_KEY] ??= {
  users: 0,
  starting: undefined,
});

export async function setup(project: TestProject): Promise<void> {
  shared.users += 1;
  shared.starting ??= startAll();
  const servers = await shared.starting;
  project.provide('databaseUrl', servers.databaseUrl);
  project.provide('redisUrl', servers.redisUrl);
}

export async function teardown(): Promise<void> {
  shared.users -= 1;
  if (shared.users > 0 || shared.starting === undefined) return;
  const servers = await shared.starting;
  shared.starting = undefined;
  await servers.dispose();
}

async function startAll(): Promise<Servers> {
  // The tests start the command line as users do, from `dist`; a stale build would make them lie.
  build();
  const [postgres, redis] = await Promise.all([
    providePostgres({ urlFromEnv: process.env['TEST_DATABASE_URL'] }),
    provideRedis({ urlFromEnv: process.env['TEST_REDIS_URL'] }),
  ]);
  console.log(`Postgres: ${postgres.description}`);
  console.log(`Redis:    ${redis.description}`);
  return {
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    async dispose() {
      await Promise.all([postgres.dispose(), redis.dispose()]);
    },
  };
}
