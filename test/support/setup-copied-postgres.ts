import { spawnSync } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { freePort } from '../../dev/servers/free-port.ts';
import { openGuardedDir } from '../../dev/servers/guarded-dir.ts';
import type { PostgresServer } from '../../dev/servers/postgres.ts';
import { findPostgresBinaries } from '../../dev/servers/postgres-binaries.ts';
import { postgresConf } from '../../dev/servers/postgres-conf.ts';
import { ServerProcess } from '../../dev/servers/server-process.ts';
import { serverUser } from '../../dev/servers/server-user.ts';

/** A standby made from the files of a stopped server: the same cluster, and a history of its own once promoted. */
export class CopiedPostgres implements AsyncDisposable {
  /** Like the original's, but for the port. */
  readonly url: string;
  readonly #server: ServerProcess;
  readonly #removeFiles: () => Promise<void>;

  private constructor(url: string, server: ServerProcess, removeFiles: () => Promise<void>) {
    this.url = url;
    this.#server = server;
    this.#removeFiles = removeFiles;
  }

  /** `original` must be stopped; it may be started again at once. */
  static async standbyOf(original: PostgresServer): Promise<CopiedPostgres> {
    const user = serverUser();
    const binaries = findPostgresBinaries(user);
    if (binaries === undefined) throw new Error('the binaries of the original are gone');
    const dir = openGuardedDir({ prefix: 'walrelay-standby-', user, endSignal: 'QUIT' });
    const dataDir = join(dir.path, 'data');
    copyFiles(original.dataDir, dataDir);
    const port = await freePort();
    appendFileSync(join(dataDir, 'postgresql.conf'), postgresConf({ port, settings: {} }));
    writeFileSync(join(dataDir, 'standby.signal'), '');
    const server = new ServerProcess({
      name: 'the standby',
      command: join(binaries.binDir, 'postgres'),
      args: ['-D', dataDir],
      dir,
      logFile: join(dir.path, 'postgres.log'),
      user,
    });
    const url = new URL(original.url);
    url.port = String(port);
    const standby = new CopiedPostgres(url.href, server, async () => await dir.remove());
    try {
      await server.start(async () => await standby.#answers());
    } catch (error) {
      await standby[Symbol.asyncDispose]();
      throw error;
    }
    return standby;
  }

  /** Becomes a primary, on a timeline of its own. */
  async promote(): Promise<void> {
    await this.query('postgres', 'SELECT pg_promote(true, 30)');
  }

  urlOf(database: string): string {
    const url = new URL(this.url);
    url.pathname = `/${database}`;
    return url.href;
  }

  async query(database: string, sql: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.urlOf(database) });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.end('SIGQUIT', 5_000).catch(async () => await this.#server.kill());
    await this.#removeFiles();
  }

  async #answers(): Promise<boolean> {
    try {
      await this.query('postgres', 'SELECT 1');
      return true;
    } catch {
      return false;
    }
  }
}

/** With owner and modes, for Postgres refuses a directory that is not its own. */
export function copyFiles(from: string, to: string): void {
  const result = spawnSync('cp', ['-a', from, to], { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`cp failed: ${result.stderr}`);
}
