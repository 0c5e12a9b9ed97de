import { EXIT } from '../core/error-codes.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** One Ctrl-C can arrive twice: from the terminal, and relayed by the process that started us. */
const SAME_SIGNAL_MS = 500;

/** The first signal stops the bench, which then cleans up; a later one ends it at once, and the next run cleans up. */
export class BenchStop {
  readonly #controller = new AbortController();
  readonly #onSignal = () => this.#signalled();
  #stoppedAtMs: number | undefined;

  constructor() {
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  release(): void {
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }

  #signalled(): void {
    const nowMs = performance.now();
    if (this.#stoppedAtMs === undefined) {
      this.#stoppedAtMs = nowMs;
      process.stderr.write('\nstopping and cleaning up; once more to leave it to the next run\n');
      this.#controller.abort(new Error('interrupted'));
    } else if (nowMs - this.#stoppedAtMs > SAME_SIGNAL_MS) {
      process.exit(EXIT.killed);
    }
  }
}
