import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type GuardedDir, openGuardedDir } from '../servers/guarded-dir.ts';

const CLI = fileURLToPath(new URL('../../bin/walrelay.js', import.meta.url));
const INIT_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;
const STDERR_CHARS_MAX = 8000;
const execute = promisify(execFile);

/** Runs `walrelay init --create-table`; resolves with what it printed, rejects with what it complained about. */
export async function initialize(env: Record<string, string>): Promise<string> {
  try {
    const { stdout } = await execute(process.execPath, [CLI, 'init', '--create-table'], {
      env,
      timeout: INIT_TIMEOUT_MS,
    });
    return stdout;
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
    throw new Error(`walrelay init failed:\n${said || String(error)}`, { cause: error });
  }
}

/** The real relay, `walrelay run`, in a process of its own that ends when this one ends, whatever ends it. */
export class RelayChild {
  readonly #child: ChildProcess;
  readonly #dir: GuardedDir;
  readonly #exited: Promise<RelayExit>;
  #stderr = '';
  #exit: RelayExit | null = null;

  constructor(env: Record<string, string>) {
    this.#dir = openGuardedDir({ prefix: 'walrelay-demo-', endSignal: 'KILL' });
    // In a session of its own: Ctrl-C is for the demo, which then stops the relay last.
    this.#child = spawn(process.execPath, [CLI, 'run'], {
      env,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#dir.guard(this.#child.pid);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
    });
    this.#exited = new Promise((resolve) => {
      const end = (exit: RelayExit) => {
        this.#exit ??= exit;
        resolve(exit);
      };
      this.#child.once('error', (error) => end({ code: null, reason: error.message }));
      // Not `exit`: the last log lines come after it.
      this.#child.once('close', (code, signal) => {
        // Its pid may be given to another process from here on.
        this.#dir.guard(undefined);
        end({ code, reason: signal === null ? `exit code ${code}` : `signal ${signal}` });
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** What it logged, at most the last lines of it. */
  get stderr(): string {
    return this.#stderr.trim();
  }

  /** Null while it runs. */
  get exit(): RelayExit | null {
    return this.#exit;
  }

  /** Resolves when the relay has ended, for whatever reason. */
  get exited(): Promise<RelayExit> {
    return this.#exited;
  }

  /** SIGTERM, so that it drains and confirms; SIGKILL when that takes too long. */
  async stop(): Promise<RelayExit> {
    this.#child.kill('SIGTERM');
    const giveUp = new AbortController();
    const late = sleep(STOP_TIMEOUT_MS, null, { signal: giveUp.signal }).then(
      () => this.#child.kill('SIGKILL'),
      () => undefined,
    );
    const exit = await this.#exited;
    giveUp.abort();
    await late;
    await this.#dir.remove();
    return exit;
  }
}

export interface RelayExit {
  readonly code: number | null;
  /** For people: `exit code 65` or `signal SIGKILL`. */
  readonly reason: string;
}
