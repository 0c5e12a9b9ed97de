import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuardedDir } from './guarded-dir.ts';
import { childPids, untilGone } from './process-tree.ts';
import type { ServerUser } from './server-user.ts';

const START_TIMEOUT_MS = 60_000;
const KILL_TIMEOUT_MS = 10_000;
const PROBE_INTERVAL_MS = 10;
const LOG_TAIL_LINES = 20;

export interface ServerCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly dir: GuardedDir;
  readonly logFile: string;
  readonly user?: ServerUser | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

/**
 * One server with many lives: started, stopped or killed, started again. Owns the process and its entry in the
 * guarded directory; knows nothing of Postgres or Redis. It never keeps the event loop alive by itself.
 */
export class ServerProcess {
  readonly #command: ServerCommand;
  #child: ChildProcess | undefined;
  #exited: Promise<void> = Promise.resolve();

  constructor(command: ServerCommand) {
    this.#command = command;
  }

  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.#command.name} is not running`);
    return pid;
  }

  /** Resolves when `isReady` says so; rejects with the tail of the log when the server ends before. */
  async start(isReady: () => Promise<boolean>): Promise<void> {
    if (this.isRunning) throw new Error(`${this.#command.name} is running already`);
    await this.#spawn();
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (!(await isReady())) {
      if (!this.isRunning) throw new Error(`${this.#command.name} did not start:\n${this.#logTail()}`);
      if (Date.now() > deadline) {
        await this.kill();
        throw new Error(`${this.#command.name} not ready after ${START_TIMEOUT_MS} ms:\n${this.#logTail()}`);
      }
      await sleep(PROBE_INTERVAL_MS);
    }
  }

  /** Runs to its end a command that needs the same care as a server, such as initdb. */
  async run(): Promise<void> {
    await this.#spawn();
    const child = this.#child;
    await this.#waitForExit(START_TIMEOUT_MS);
    if (child?.exitCode !== 0) throw new Error(`${this.#command.name} failed:\n${this.#logTail()}`);
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  /** Asks with a signal and waits; a server that is down already is no error. */
  async end(signal: NodeJS.Signals, timeoutMs: number): Promise<void> {
    if (!this.isRunning) return;
    this.signal(signal);
    await this.#waitForExit(timeoutMs);
  }

  /** SIGKILL, as a power cut does it: to the process and all its children, none of which can tidy up. */
  async kill(): Promise<void> {
    if (!this.isRunning) return;
    // Stopped first, or it could fork one more child between the listing and the end.
    this.signal('SIGSTOP');
    const pids = [this.pid, ...childPids(this.pid)];
    for (const pid of pids) killIfThere(pid);
    await this.#waitForExit(KILL_TIMEOUT_MS);
    await untilGone(pids, KILL_TIMEOUT_MS);
  }

  async #spawn(): Promise<void> {
    const { command, args, dir, logFile, user, env } = this.#command;
    const log = openSync(logFile, 'a', 0o644);
    try {
      const child = spawn(command, [...args], {
        cwd: dir.path,
        // In a session of its own: Ctrl-C is for the relay to handle, the servers outlive its last writes.
        detached: true,
        stdio: ['ignore', log, log],
        env: { ...process.env, ...env },
        ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }),
      });
      this.#child = child;
      this.#exited = new Promise((resolve) => {
        child.once('exit', () => {
          this.#child = undefined;
          dir.guard(undefined);
          resolve();
        });
      });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', (error) => {
          this.#child = undefined;
          reject(new Error(`${this.#command.name}: ${error.message}`, { cause: error }));
        });
      });
      child.unref();
      dir.guard(child.pid);
    } finally {
      closeSync(log);
    }
  }

  async #waitForExit(timeoutMs: number): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const timer = new AbortController();
    child.ref();
    try {
      const late = sleep(timeoutMs, 'late' as const, { signal: timer.signal });
      late.catch(() => undefined);
      if ((await Promise.race([this.#exited, late])) === 'late') {
        throw new Error(`${this.#command.name} still running after ${timeoutMs} ms:\n${this.#logTail()}`);
      }
    } finally {
      timer.abort();
      child.unref();
    }
  }

  #logTail(): string {
    return readFileSync(this.#command.logFile, 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-LOG_TAIL_LINES)
      .join('\n');
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
