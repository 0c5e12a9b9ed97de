import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A small shell that tidies up when this process ends, however it ends. */
export interface EndWatcher {
  /** Lets it tidy up now; resolves when it has. */
  end(): Promise<void>;
}

/**
 * The shell blocks on a pipe of which this process holds the only other end. The kernel closes that end however we
 * die, SIGKILL included, so one mechanism serves dispose, normal exit, Ctrl-C and a crash. `script` is what it does
 * then, with `args` as $1 and so on.
 */
export function watchForEnd(script: string, args: readonly string[]): EndWatcher {
  const waiting = `trap '' INT TERM HUP QUIT\ncat >/dev/null\n${script}`;
  // In a session of its own, so that Ctrl-C in the terminal does not end the watcher first.
  const watcher: ChildProcess = spawn('/bin/sh', ['-c', waiting, 'walrelay-watcher', ...args], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const gone = once(watcher, 'exit');
  gone.catch(() => undefined);
  watcher.unref();
  return {
    async end() {
      watcher.ref();
      watcher.stdin?.end();
      await gone;
    },
  };
}
