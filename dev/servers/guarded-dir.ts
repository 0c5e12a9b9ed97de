import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
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
 * The watcher blocks on a pipe of which this process holds the only other end. The kernel closes that end
 * however we die, SIGKILL included, so one mechanism serves dispose, normal exit, Ctrl-C and a crash.
 * It signals the whole process group, reads the pid only then (a server may have been started again), resumes
 * what a test has stopped, and gives up waiting after a second: a zombie that nobody reaps stays visible.
 * (`kill -s 0 --`, for dash takes no `--` after `-0`.)
 */
const WATCHER = `
trap '' INT TERM HUP QUIT
cat >/dev/null
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
  // In a session of its own, so that Ctrl-C in the terminal does not end the watcher first.
  const watcher = spawn('/bin/sh', ['-c', WATCHER, 'walrelay-watcher', path, endSignal], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const gone = once(watcher, 'exit');
  gone.catch(() => undefined);
  watcher.unref();
  if (user !== undefined) chownSync(path, user.uid, user.gid);

  return {
    path,
    guard(pid) {
      if (pid === undefined) rmSync(pidFile, { force: true });
      else writeFileSync(pidFile, `${pid}\n`);
    },
    async remove() {
      watcher.ref();
      watcher.stdin.end();
      await gone;
    },
  };
}
