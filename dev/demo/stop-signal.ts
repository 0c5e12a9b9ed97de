import { setTimeout as sleep } from 'node:timers/promises';

/** One Ctrl-C can arrive twice: from the terminal, and relayed by the process that started us. */
const SAME_SIGNAL_MS = 500;
const EXIT_ON_SECOND = 130;

/** The first signal asks for a good end; a later one ends at once, and what watches us cleans up. */
export class StopSignal {
  readonly requested: Promise<void>;
  #resolve: () => void = () => undefined;
  #requestedAtMs: number | null = null;
  readonly #timer = new AbortController();
  readonly #onSignal = () => this.#signalled();

  constructor() {
    this.requested = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    for (const signal of SIGNALS) process.on(signal, this.#onSignal);
  }

  get isRequested(): boolean {
    return this.#requestedAtMs !== null;
  }

  async after(seconds: number): Promise<void> {
    await sleep(seconds * 1000, undefined, { signal: this.#timer.signal }).catch(() => undefined);
  }

  release(): void {
    this.#timer.abort();
    for (const signal of SIGNALS) process.off(signal, this.#onSignal);
  }

  #signalled(): void {
    const nowMs = performance.now();
    if (this.#requestedAtMs !== null && nowMs - this.#requestedAtMs > SAME_SIGNAL_MS) {
      process.exit(EXIT_ON_SECOND);
    }
    this.#requestedAtMs ??= nowMs;
    this.#resolve();
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
