import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { freePort, isPortFree } from './free-port.ts';
import type { GuardedDir } from './guarded-dir.ts';
import type { PostgresBinaries } from './postgres-binaries.ts';
import { postgresConf } from './postgres-conf.ts';
import { ServerProcess } from './server-process.ts';
import type { ServerUser } from './server-user.ts';

export interface PostgresServer extends AsyncDisposable {
  /** Superuser `postgres`, database `postgres`, with a random password. */
  readonly url: string;
  readonly port: number;
  readonly description: string;
  readonly dataDir: string;
  readonly logFile: string;
  /** What runs it, and what a copy of its files needs. */
  readonly binaries: PostgresBinaries;
  /** Resolves when the postmaster is gone. `fast` waits for every walsender's client to confirm. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** SIGKILL; resolves when the postmaster and its children are gone. */
  kill(): Promise<void>;
  /** Same port, same data; resolves when it accepts connections, so after recovery. */
  start(): Promise<void>;
  /** False also after it has ended by itself. */
  readonly isRunning: boolean;
  /** Further lines of postgresql.conf; they count from the next start or reload on, and win over earlier ones. */
  configure(settings: Readonly<Record<string, string>>): void;
  /** Ends the server however it can and removes its files. */
  dispose(): Promise<void>;
}

/** pg_ctl's own limit. A walsender whose client never confirms can hold a fast stop up for ever. */
const STOP_TIMEOUT_MS = 60_000;
const DISPOSE_TIMEOUT_MS = 2_000;
const PORT_ATTEMPTS_MAX = 3;

export interface DataDirectory {
  /** Removed together with the server. */
  readonly dir: GuardedDir;
  readonly user: ServerUser | undefined;
  readonly binaries: PostgresBinaries;
  readonly dataDir: string;
  /** Of the superuser `postgres`, as it stands in the files. */
  readonly password: string;
  /** Added to the postgresql.conf that is there; the port is chosen here. */
  readonly settings: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/** Starts a server on files that are there: fresh from initdb, or a copy of another server's. */
export async function openPostgres(directory: DataDirectory): Promise<PostgresServer> {
  const { dir, user, binaries, dataDir, password, settings, env } = directory;
  const logFile = join(dir.path, 'postgres.log');
  const server = new ServerProcess({
    name: binaries.description,
    command: join(binaries.binDir, 'postgres'),
    args: ['-D', dataDir],
    dir,
    logFile,
    user,
    env,
  });

  let port = 0;
  let url = '';
  const start = async (): Promise<void> => await server.start(async () => await accepts(url));
  const confFile = join(dataDir, 'postgresql.conf');
  for (let attempt = 1; ; attempt += 1) {
    port = await freePort();
    url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    appendFileSync(confFile, postgresConf({ ...settings, port: String(port) }));
    try {
      await start();
      break;
    } catch (error) {
      // A parallel start took the port between our look and Postgres' bind; later lines of the file win.
      if (attempt === PORT_ATTEMPTS_MAX || (await isPortFree(port))) throw error;
    }
  }

  const dispose = async (): Promise<void> => {
    // Asked first: after a SIGKILL its System V shared memory segment would stay behind.
    await server.end('SIGQUIT', DISPOSE_TIMEOUT_MS).catch(async () => await server.kill());
    await dir.remove();
  };
  return {
    url,
    port,
    description: `${binaries.description}, 127.0.0.1:${port}`,
    dataDir,
    logFile,
    binaries,
    async stop(mode = 'fast') {
      // What `pg_ctl stop -m` sends; not every Postgres comes with pg_ctl.
      await server.end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT', STOP_TIMEOUT_MS);
    },
    async kill() {
      await server.kill();
    },
    start,
    get isRunning() {
      return server.isRunning;
    },
    configure(added) {
      appendFileSync(confFile, postgresConf(added));
    },
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

async function accepts(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, ssl: false, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('SELECT 1');
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}
