/** Keeps a loop at a rate, by pausing: no more than a second's worth comes at once. */
export class Pace {
  readonly perSecond: number;
  readonly #signal: AbortSignal | undefined;
  #dueMs = 0;

  /** `perSecond`: Infinity for as fast as it goes. */
  constructor(perSecond = Number.POSITIVE_INFINITY, signal?: AbortSignal) {
    this.perSecond = perSecond;
    this.#signal = signal;
  }

  /** Resolves when `count` more may follow. Rejects when the signal was given. */
  async wait(count: number): Promise<void> {
    this.#signal?.throwIfAborted();
    if (this.perSecond === Number.POSITIVE_INFINITY) return;
    const nowMs = performance.now();
    this.#dueMs = Math.max(this.#dueMs, nowMs - 1000) + (count * 1000) / this.perSecond;
    const pauseMs = this.#dueMs - nowMs;
    if (pauseMs <= 0) return;
    await new Promise<void>((resolve) => setTimeout(resolve, pauseMs));
    this.#signal?.throwIfAborted();
  }
}
