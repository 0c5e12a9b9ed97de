import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { waitFor } from './wait-for.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUILT_CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

export type Env = Readonly<Record<string, string>>;

export interface CliResult {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One line of the daemon's log. */
export interface LogLine {
  readonly level: string;
  readonly msg: string;
  readonly err?: { readonly code?: string; readonly message?: string; readonly hint?: string };
  readonly [field: string]: unknown;
}

/** Starts the built command line as a user would; nothing of the test's own environment leaks into it. */
function spawnCli(args: readonly string[], env: Env, options: DaemonOptions = {}): ChildProcess {
  return spawn(process.execPath, [...(options.nodeArgs ?? []), BUILT_CLI, ...args], {
    cwd: ROOT,
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', options.stderrFd ?? 'pipe'],
  });
}

/** Runs a command to its end. */
export async function runCli(args: readonly string[], env: Env): Promise<CliResult> {
  const daemon = new Daemon(spawnCli(args, env));
  return daemon.exited;
}

export interface DaemonOptions {
  /** The command; `run` unless told. */
  readonly args?: readonly string[];
  readonly nodeArgs?: readonly string[];
  /** Where the log goes instead of to the test, which then can't read it. */
  readonly stderrFd?: number;
}

/** A relay of its own, in a process of its own. */
export class Daemon implements AsyncDisposable {
  readonly exited: Promise<CliResult>;
  readonly #process: ChildProcess;
  #stdout = '';
  #stderr = '';
  #hasExited = false;

  constructor(child: ChildProcess) {
    this.#process = child;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.exited = new Promise((resolve) => {
      child.once('close', (exitCode, signal) => {
        this.#hasExited = true;
        resolve({ exitCode, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  static start(env: Env, options: DaemonOptions = {}): Daemon {
    const { args = ['run'] } = options;
    return new Daemon(spawnCli(args, { WALRELAY_HTTP_PORT: '0', ...env }, options));
  }

  get pid(): number {
    return this.#process.pid ?? -1;
  }

  get hasExited(): boolean {
    return this.#hasExited;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get log(): LogLine[] {
    return this.#stderr
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#hasExited) this.#process.kill(signal);
  }

  /** Waits for a log line with this message (the newest from `since` lines on). */
  async waitForLog(msg: string, options: { since?: number; timeoutMs?: number } = {}): Promise<LogLine> {
    return waitFor(
      `the log line ${JSON.stringify(msg)}; the log is\n${this.#stderr}`,
      () => {
        const found = this.log.slice(options.since ?? 0).findLast((line) => line.msg === msg);
        if (found === undefined && this.#hasExited) {
          throw new Error(`the daemon exited before it logged ${JSON.stringify(msg)}:\n${this.#stderr}`);
        }
        return found;
      },
      options.timeoutMs,
    );
  }

  async streaming(): Promise<LogLine> {
    return this.waitForLog('streaming');
  }

  /** The address of /livez, /readyz and /metrics. */
  async httpUrl(): Promise<string> {
    const line = await this.waitForLog('walrelay starts');
    return String(line['http']);
  }

  /** SIGTERM, and the result. */
  async stop(): Promise<CliResult> {
    this.signal('SIGTERM');
    return this.exited;
  }

  async kill(): Promise<CliResult> {
    this.signal('SIGKILL');
    return this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal('SIGCONT');
    await this.kill();
  }
}
