import { startInDocker } from './docker-server.ts';
import { type PostgresServer, startPostgres } from './postgres.ts';
import { findPostgresBinaries } from './postgres-binaries.ts';
import { givenServer, type ProvidedServer } from './provided-server.ts';
import { serverUser } from './server-user.ts';

const IMAGE = 'postgres:17';

/** The given one, else from npm, else the machine's, else from Docker; the first that is there. */
export async function providePostgres(options: {
  readonly urlFromEnv?: string | undefined;
}): Promise<ProvidedServer<PostgresServer>> {
  if (options.urlFromEnv !== undefined && options.urlFromEnv !== '') return givenServer(options.urlFromEnv);
  if (findPostgresBinaries(serverUser()) !== undefined) {
    const server = await startPostgres();
    return {
      url: server.url,
      description: server.description,
      dispose: async () => await server.dispose(),
      server,
    };
  }
  const settings = ['fsync=off', 'wal_level=logical', 'max_wal_senders=20', 'max_replication_slots=20'];
  const docker = await startInDocker({
    image: IMAGE,
    port: 5432,
    environment: { POSTGRES_PASSWORD: 'walrelay', TZ: 'UTC' },
    command: ['postgres', ...settings.flatMap((setting) => ['-c', setting])],
    // The image starts once to initialise itself, then for good.
    readyLine: /database system is ready to accept connections/,
    readyCount: 2,
  });
  if (docker === undefined) {
    throw new Error('no Postgres: not in node_modules, not on this machine, no Docker; run: npm install');
  }
  return {
    url: `postgres://postgres:walrelay@${docker.host}:${docker.port}/postgres`,
    description: `${IMAGE} (Docker), ${docker.host}:${docker.port}`,
    dispose: async () => await docker.dispose(),
  };
}
