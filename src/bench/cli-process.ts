import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ProgramOptions } from './program-process.ts';

/** Always the build, with plain Node: the loader that runs sources would count as the relay's memory and CPU. */
const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const STOP_TIMEOUT_MS = 10_000;
const STDERR_CHARS_MAX = 8000;

/** One command of the real command line, in a process of its own that ends when this one ends. */
export class CliProcess {
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | null>;
  readonly #waiting: { readonly message: string; readonly found: () => void }[] = [];
  #stderr = '';
  #line = '';

  /** `settings` come as environment variables: a URL is nothing for a process list. */
  constructor(
    args: readonly string[],
    settings: Readonly<Record<string, string>>,
    { env, guard }: ProgramOptions,
  ) {
    this.#child = fork(CLI, [...args], {
      execArgv: [],
      env: { ...env, ...settings },
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    guard.watch(this.#child);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#read(text));
    const command = `walrelay ${args.join(' ')}`;
    const ended = new Promise<[how: string, code: number | null]>((resolve) => {
      this.#child.once('error', (error) => resolve([error.message, null]));
      this.#child.once('close', (code, signal) => resolve([signal ?? `exit code ${code}`, code]));
    });
    this.#exited = ended.then(([, code]) => code);
    this.ended = ended.then(([how]) => {
      const said = this.#stderr.trim();
      return `${command} ended (${how})${said === '' ? '' : `:\n${said}`}`;
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Runs to the end; rejects when that is no success. */
  async success(): Promise<void> {
    if ((await this.#exited) !== 0) throw new Error(await this.ended);
  }

  /** Resolves when a log line has this message; when it does not come, ends the process and rejects. */
  async started(message: string, signal: AbortSignal): Promise<void> {
    let abort = () => undefined as void;
    try {
      await new Promise<void>((resolve, reject) => {
        abort = () => reject(signal.reason as Error);
        if (signal.aborted) abort();
        signal.addEventListener('abort', abort, { once: true });
        this.#waiting.push({ message, found: resolve });
        void this.ended.then((how) => reject(new Error(how)));
      });
    } catch (error) {
      await this.stop();
      throw error;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const giveUp = new AbortController();
    const late = sleep(STOP_TIMEOUT_MS, undefined, { signal: giveUp.signal, ref: false }).then(
      () => this.#child.kill('SIGKILL'),
      () => undefined,
    );
    await this.#exited;
    giveUp.abort();
    await late;
  }

  #read(text: string): void {
    this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
    const lines = (this.#line + text).split('\n');
    this.#line = lines.pop() ?? '';
    for (const line of lines) {
      for (const [at, { message, found }] of this.#waiting.entries()) {
        if (!line.includes(`"msg":${JSON.stringify(message)}`)) continue;
        this.#waiting.splice(at, 1);
        found();
        break;
      }
    }
  }
}
