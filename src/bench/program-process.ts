import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ProgramReply } from './programs/serve-requests.ts';
import type { ProcessGuard } from './process-guard.ts';

/**
 * A program of the bench (producer, reader, a relay loop) in a process of its own: asked by messages, and gone when
 * this process is gone. It always runs from dist with plain Node: a loader would cost memory and CPU that is measured.
 */
export class ProgramProcess {
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, PendingRequest>();
  readonly ended: Promise<string>;
  #stderr = '';
  #nextId = 1;
  #hasEnded = false;

  constructor(name: string, { env, guard }: ProgramOptions) {
    this.#child = fork(fileURLToPath(new URL(`../../dist/bench/programs/${name}.js`, import.meta.url)), [], {
      execArgv: [],
      env,
      // In a session of its own: Ctrl-C is for the bench to handle.
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    guard.watch(this.#child);
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_CHARS_MAX);
    });
    this.#child.on('message', (reply: ProgramReply) => {
      const request = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      if (reply.error === undefined) request?.resolve(reply.result);
      else request?.reject(new Error(`${name}: ${reply.error}`));
    });
    this.ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.#hasEnded = true;
        const said = this.#stderr.trim();
        const what = `${name} ended (${how})${said === '' ? '' : `:\n${said}`}`;
        for (const request of this.#pending.values()) request.reject(new Error(what));
        this.#pending.clear();
        resolve(what);
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('close', (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Rejects with what the program says, when it ends, or when `signal` is aborted. */
  async ask<Result>(request: string, argument: unknown, signal: AbortSignal): Promise<Result> {
    signal.throwIfAborted();
    if (this.#hasEnded) throw new Error(await this.ended);
    const id = this.#nextId++;
    return await new Promise<Result>((resolve, reject) => {
      const abort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', abort, { once: true });
      const settle = () => signal.removeEventListener('abort', abort);
      this.#pending.set(id, {
        resolve: (result) => {
          settle();
          resolve(result as Result);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
      });
      this.#child.send({ id, name: request, argument });
    });
  }

  /** Asks for what the program is there for; when it can't, ends it and rejects. */
  async begin(request: string, argument: unknown, signal: AbortSignal): Promise<void> {
    try {
      await this.ask(request, argument, signal);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}

export interface ProgramOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly guard: ProcessGuard;
}

interface PendingRequest {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const STDERR_CHARS_MAX = 4000;
