import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { openGuardedDir } from '../../servers/guarded-dir.ts';

const LOG_TAIL_LINES = 25;

export interface PeerCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly logFile: string;
  readonly stopTimeoutMs: number;
}

/** A peer in a process of its own, that ends when this one ends, whatever ends it. It writes a file, and is not read. */
export class PeerProcess {
  readonly pid: number;
  /** How it ended, with the end of its log. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #stopTimeoutMs: number;

  private constructor(child: ChildProcess, pid: number, { name, logFile, stopTimeoutMs }: PeerCommand) {
    this.#child = child;
    this.pid = pid;
    this.#stopTimeoutMs = stopTimeoutMs;
    const guarded = openGuardedDir({ prefix: 'walrelay-peer-', endSignal: 'KILL' });
    guarded.guard(pid);
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        // Its pid may be given to another process from here on.
        guarded.guard(undefined);
        void guarded.remove().then(() => {
          resolve(`${name} ended (${signal ?? `exit code ${code}`}):\n${tailOf(logFile)}`);
        });
      });
    });
  }

  static async start(command: PeerCommand): Promise<PeerProcess> {
    const log = openSync(command.logFile, 'a', 0o600);
    try {
      const child = spawn(command.command, [...command.args], {
        cwd: command.cwd,
        env: command.env,
        // In a session of its own: Ctrl-C is for the bench to handle.
        detached: true,
        stdio: ['ignore', log, log],
      });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', reject);
      });
      return new PeerProcess(child, child.pid ?? 0, command);
    } finally {
      closeSync(log);
    }
  }

  /** Resolves when `isReady` says so; rejects when the process ends before, and ends it when `signal` is aborted. */
  async untilReady(isReady: () => Promise<boolean>, timeoutMs: number, signal: AbortSignal): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    let how: string | undefined;
    void this.ended.then((reason) => (how = reason));
    try {
      while (!(await isReady())) {
        signal.throwIfAborted();
        if (how !== undefined) throw new Error(how);
        if (Date.now() > deadline) throw new Error(`not ready after ${timeoutMs / 1000} s`);
        await sleep(READY_POLL_MS);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const giveUp = new AbortController();
    const late = sleep(this.#stopTimeoutMs, undefined, { signal: giveUp.signal }).then(
      () => this.#child.kill('SIGKILL'),
      () => undefined,
    );
    await this.ended;
    giveUp.abort();
    await late;
  }
}

const READY_POLL_MS = 50;

function tailOf(logFile: string): string {
  return readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
}
