import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NAME_START } from './bench-names.ts';

/**
 * The run's temporary directory and its child processes: both go whenever this process goes, however it goes.
 *
 * A small shell blocks on a pipe of which we hold the only other end; the kernel closes that end even when we are
 * killed. Then the shell kills what is listed, process groups and all, and removes the directory.
 */
export class ProcessGuard {
  #started: Started | undefined;

  /** A directory within the run's own. */
  freshDir(name: string): string {
    const path = join(this.#start().dir, name);
    mkdirSync(path);
    return path;
  }

  /** Until it has ended; after that its pid may be given to another process. */
  watch(child: ChildProcess): void {
    const { pid } = child;
    if (pid === undefined) return;
    this.watchPid(pid);
    child.once('exit', () => this.unwatchPid(pid));
  }

  watchPid(pid: number): void {
    writeFileSync(join(this.#start().dir, PIDS, String(pid)), '');
  }

  unwatchPid(pid: number): void {
    rmSync(join(this.#start().dir, PIDS, String(pid)), { force: true });
  }

  /** Ends whatever is left and removes the directory; resolves when both are done. */
  async close(): Promise<void> {
    if (this.#started === undefined) return;
    const { watcher, gone } = this.#started;
    watcher.ref();
    watcher.stdin?.end();
    await gone;
  }

  /** Nothing is there before somebody needs it. */
  #start(): Started {
    if (this.#started !== undefined) return this.#started;
    const dir = mkdtempSync(join(tmpdir(), NAME_START));
    mkdirSync(join(dir, PIDS));
    const watcher = spawn('/bin/sh', ['-c', WATCHER, 'walrelay-bench-watcher', dir], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    watcher.stdin?.on('error', () => undefined);
    const gone = once(watcher, 'exit').catch(() => undefined);
    watcher.unref();
    this.#started = { dir, watcher, gone };
    return this.#started;
  }
}

interface Started {
  readonly dir: string;
  readonly watcher: ChildProcess;
  readonly gone: Promise<unknown>;
}

const PIDS = 'pids';

/** A pid that leads no process group is killed by itself. */
const WATCHER = `
trap '' INT TERM HUP QUIT
cat >/dev/null
for file in "$1"/pids/*; do
  pid=\${file##*/}
  [ "$pid" = '*' ] && continue
  kill -s KILL -- "-$pid" 2>/dev/null || kill -s KILL "$pid" 2>/dev/null
done
n=0
while [ $n -lt 20 ] && [ -e "$1" ]; do rm -rf "$1" 2>/dev/null || sleep 0.05; n=$((n+1)); done
`;
