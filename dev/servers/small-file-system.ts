import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { watchForEnd } from './end-watcher.ts';
import type { ServerUser } from './server-user.ts';
import { tempBase } from './temp-base.ts';

/** A file system of few megabytes in memory, to be filled up and made room on. Goes with this process. */
export interface SmallFileSystem extends AsyncDisposable {
  /** An empty folder of the server's user. */
  readonly path: string;
  /** Leaves no byte free. */
  fill(): void;
  /** Undoes `fill`. */
  makeRoom(): void;
}

/** Why there can't be one here; null when there can. */
export function whyNoSmallFileSystem(): string | null {
  if (process.platform !== 'linux') return 'tmpfs is mounted on Linux only';
  if (process.getuid?.() !== 0) return 'mounting a tmpfs needs root';
  const probe = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', '-o', 'size=1m', 'walrelay', '/mnt']);
  return probe.status === 0 ? null : 'this container may not mount a tmpfs';
}

const UNMOUNT = 'umount -l "$1"; rmdir "$1"';
const BALLAST = 'ballast';

export function mountSmallFileSystem(options: {
  readonly bytes: number;
  readonly user: ServerUser | undefined;
}): SmallFileSystem {
  const { bytes, user } = options;
  const mountPoint = mkdtempSync(join(tempBase(user), 'walrelay-small-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'walrelay', mountPoint], {
    encoding: 'utf8',
  });
  if (mounted.status !== 0) {
    rmSync(mountPoint, { recursive: true });
    throw new Error(`no tmpfs could be mounted: ${mounted.stderr}`);
  }
  const watcher = watchForEnd(UNMOUNT, [mountPoint]);
  chmodSync(mountPoint, 0o755);
  // The server wants an empty folder, so the ballast stands beside it.
  const path = mkdtempSync(join(mountPoint, 'data-'));
  if (user !== undefined) chownSync(path, user.uid, user.gid);
  const ballast = join(mountPoint, BALLAST);
  return {
    path,
    fill: () => fillWith(ballast),
    makeRoom: () => rmSync(ballast, { force: true }),
    async [Symbol.asyncDispose]() {
      await watcher.end();
    },
  };
}

function fillWith(file: string): void {
  const fd = openSync(file, 'a');
  try {
    for (let size = 1024 * 1024; size >= 1; size = Math.floor(size / 2)) {
      const chunk = Buffer.alloc(size);
      while (canWrite(fd, chunk));
    }
  } finally {
    closeSync(fd);
  }
}

function canWrite(fd: number, chunk: Buffer): boolean {
  try {
    return writeSync(fd, chunk) > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false;
    throw error;
  }
}
