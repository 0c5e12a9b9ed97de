/** Buckets grow by 2 %: percentiles are right to 1 %, in constant memory, however long the demo runs. */
const GROWTH = 1.02;
const SMALLEST_MS = 0.01;

export class Latencies {
  readonly #counts: number[] = [];
  #count = 0;
  #maxMs = Number.NEGATIVE_INFINITY;
  #minMs = Number.POSITIVE_INFINITY;

  get count(): number {
    return this.#count;
  }

  /** Exact; -Infinity while there is none. */
  get maxMs(): number {
    return this.#maxMs;
  }

  get minMs(): number {
    return this.#minMs;
  }

  record(ms: number): void {
    const bucket = ms <= SMALLEST_MS ? 0 : Math.ceil(Math.log(ms / SMALLEST_MS) / Math.log(GROWTH));
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#count += 1;
    this.#maxMs = Math.max(this.#maxMs, ms);
    this.#minMs = Math.min(this.#minMs, ms);
  }

  /** `share` in (0, 1]: 0.99 is the latency that 99 % did not exceed. */
  percentileMs(share: number): number {
    const rank = Math.ceil(share * this.#count);
    let seen = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count ?? 0;
      if (seen >= rank && seen > 0) {
        const middleMs = SMALLEST_MS * GROWTH ** (bucket - 0.5);
        return Math.max(this.#minMs, Math.min(this.#maxMs, middleMs));
      }
    }
    return Number.NaN;
  }
}
