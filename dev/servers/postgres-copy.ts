import {
  chownSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { openGuardedDir } from './guarded-dir.ts';
import { openPostgres, type PostgresServer } from './postgres-server.ts';
import { serverUser } from './server-user.ts';

/**
 * A second server on the files of a stopped one, on a port of its own: the same cluster at the same position. As a
 * standby it waits to be promoted and has a history of its own from then on. The original may be started again at once.
 */
export async function startPostgresCopy(
  original: PostgresServer,
  options: { readonly isStandby?: boolean; readonly settings?: Readonly<Record<string, string>> } = {},
): Promise<PostgresServer> {
  if (original.isRunning) throw new Error('only the files of a stopped server are whole');
  const user = serverUser();
  const dir = openGuardedDir({ prefix: 'walrelay-postgres-', user, endSignal: 'QUIT' });
  try {
    const dataDir = join(dir.path, 'data');
    copyFiles(original.dataDir, dataDir);
    if (options.isStandby === true) writeFileSync(join(dataDir, 'standby.signal'), '');
    return await openPostgres({
      dir,
      user,
      binaries: original.binaries,
      dataDir,
      password: new URL(original.url).password,
      settings: options.settings ?? {},
    });
  } catch (error) {
    await dir.remove();
    throw error;
  }
}

/**
 * With owner and modes, for Postgres refuses a directory that is not its own. Of a running server, files come and go
 * meanwhile: one that has gone is none. `leavesOut` is asked with paths from the top.
 */
export function copyFiles(
  from: string,
  to: string,
  leavesOut: (path: string) => boolean = () => false,
): void {
  copy('');

  function copy(path: string): void {
    const source = join(from, path);
    const target = join(to, path);
    const stat = lstatSync(source, { throwIfNoEntry: false });
    if (stat === undefined || leavesOut(path)) return;
    if (stat.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
    else if (stat.isDirectory()) {
      mkdirSync(target, { mode: stat.mode });
      chownSync(target, stat.uid, stat.gid);
      for (const name of readdirSync(source)) copy(join(path, name));
    } else if (stat.isFile()) {
      if (!copiedFile(source, target)) return;
      chownSync(target, stat.uid, stat.gid);
    }
  }
}

function copiedFile(source: string, target: string): boolean {
  try {
    copyFileSync(source, target);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
