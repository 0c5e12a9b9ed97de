import { Latencies } from './latencies.ts';

/**
 * What the producer knows of each event, and when the reader had it: one monotonic clock (`performance.now()`, this
 * process), so that the difference is a latency and not the offset of two clocks.
 */
export interface EventTimes {
  /** Just before COMMIT was sent. */
  readonly commitStartMs: number;
  /** Just after COMMIT had returned; null until then. */
  committedMs: number | null;
  /** When the blocked read had returned with the entry; null until then. */
  readMs: number | null;
}

export class EventLedger {
  /** From COMMIT being sent: no entry can be earlier, and Postgres's own work is in it. */
  readonly sinceCommitStart = new Latencies();
  /** From COMMIT having returned: negative when the entry was there before the reply was. */
  readonly sinceCommitted = new Latencies();
  readonly #times = new Map<string, EventTimes>();
  #committedCount = 0;
  #transactionCount = 0;
  #rolledBackTransactionCount = 0;
  #readCount = 0;

  get committedCount(): number {
    return this.#committedCount;
  }

  get transactionCount(): number {
    return this.#transactionCount;
  }

  get rolledBackTransactionCount(): number {
    return this.#rolledBackTransactionCount;
  }

  /** Entries that the reader had, whatever they were. */
  get readCount(): number {
    return this.#readCount;
  }

  /** Committed, and not yet with the reader. */
  get waitingCount(): number {
    let count = 0;
    for (const { committedMs, readMs } of this.#times.values()) {
      if (committedMs !== null && readMs === null) count += 1;
    }
    return count;
  }

  times(id: string): EventTimes | undefined {
    return this.#times.get(id);
  }

  rolledBack(): void {
    this.#rolledBackTransactionCount += 1;
  }

  /** Call right before COMMIT is sent, and `done` right after it has returned. */
  committing(ids: readonly string[]): { done(): void } {
    const commitStartMs = performance.now();
    for (const id of ids) this.#times.set(id, { commitStartMs, committedMs: null, readMs: null });
    return {
      done: () => {
        const committedMs = performance.now();
        this.#committedCount += ids.length;
        this.#transactionCount += 1;
        for (const id of ids) this.#committed(id, committedMs);
      },
    };
  }

  /** The reader has the entry since `readMs`. Returns the latency since COMMIT was sent; null for a stranger. */
  read(id: string, readMs: number): number | null {
    this.#readCount += 1;
    const times = this.#times.get(id);
    if (times === undefined || times.readMs !== null) return null;
    times.readMs = readMs;
    const latencyMs = readMs - times.commitStartMs;
    this.sinceCommitStart.record(latencyMs);
    if (times.committedMs !== null) this.sinceCommitted.record(readMs - times.committedMs);
    return latencyMs;
  }

  #committed(id: string, committedMs: number): void {
    const times = this.#times.get(id);
    if (times === undefined) return;
    times.committedMs = committedMs;
    if (times.readMs !== null) this.sinceCommitted.record(times.readMs - committedMs);
  }
}
