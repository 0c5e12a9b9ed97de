import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { watchForEnd } from './end-watcher.ts';
import type { ServerUser } from './server-user.ts';
import { tempBase } from './temp-base.ts';

/** A temporary directory that goes, together with the server living in it, whenever this process goes. */
export interface GuardedDir {
  readonly path: string;
  /** The process to end together with the directory; undefined while none runs. */
  guard(pid: number | undefined): void;
  /** Ends the guarded process, removes the directory, resolves when both are gone. */
  remove(): Promise<void>;
}

/**
 * Signals the whole process group, reads the pid only then (a server may have been started again), resumes what a
 * test has stopped, and gives up waiting after a second: a zombie that nobody reaps stays visible. (`kill -s 0 --`,
 * for dash takes no `--` after `-0`.)
 */
const TIDY_UP = `
pid=$(cat "$1/guarded.pid" 2>/dev/null)
if [ -n "$pid" ]; then
  kill -s "$2" -- "-$pid" 2>/dev/null
  kill -s CONT -- "-$pid" 2>/dev/null
  n=0
  while [ $n -lt 20 ] && kill -s 0 -- "-$pid" 2>/dev/null; do sleep 0.05; n=$((n+1)); done
  kill -s KILL -- "-$pid" 2>/dev/null
fi
n=0
while [ $n -lt 20 ] && [ -e "$1" ]; do rm -rf "$1" 2>/dev/null || sleep 0.05; n=$((n+1)); done
`;

export interface GuardedDirOptions {
  readonly prefix: string;
  readonly user?: ServerUser | undefined;
  /** QUIT lets Postgres release its shared memory; Redis has nothing to release. SIGKILL follows anyway. */
  readonly endSignal: 'QUIT' | 'KILL';
}

export function openGuardedDir({ prefix, user, endSignal }: GuardedDirOptions): GuardedDir {
  const path = mkdtempSync(join(tempBase(user), prefix));
  const pidFile = join(path, 'guarded.pid');
  const watcher = watchForEnd(TIDY_UP, [path, endSignal]);
  if (user !== undefined) chownSync(path, user.uid, user.gid);

  return {
    path,
    guard(pid) {
      if (pid === undefined) rmSync(pidFile, { force: true });
      else writeFileSync(pidFile, `${pid}\n`);
    },
    async remove() {
      await watcher.end();
    },
  };
}
