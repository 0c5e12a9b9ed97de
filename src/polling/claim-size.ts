/**
 * How many rows the next claim may hold. Postgres sends all of them before the first is published, so a table of large
 * payloads has to be claimed in fewer. Sizes come from a short list: each one is a prepared statement. Pure.
 */
export class ClaimSize {
  readonly #steps: readonly number[];
  readonly #bytesMax: number;
  #rowBytes: number;

  constructor(limits: { readonly eventsMax: number; readonly bytesMax: number }) {
    const steps: number[] = [];
    for (let step = limits.eventsMax; step > 1; step = Math.ceil(step / STEP_FACTOR)) steps.push(step);
    this.#steps = [...steps, 1];
    this.#bytesMax = limits.bytesMax;
    // Before the first row nothing is known of them.
    this.#rowBytes = limits.bytesMax / FIRST_EVENTS_MAX;
  }

  get next(): number {
    return this.#steps.find((step) => step * this.#rowBytes <= this.#bytesMax) ?? 1;
  }

  /** Learns from what a claim brought: at once when rows grew, slowly when they shrank. */
  observe(rows: number, bytes: number): void {
    if (rows === 0) return;
    const latest = bytes / rows;
    this.#rowBytes = Math.max(latest, this.#rowBytes + (latest - this.#rowBytes) * SHRINK_SHARE);
  }
}

const STEP_FACTOR = 4;
const FIRST_EVENTS_MAX = 64;
const SHRINK_SHARE = 0.5;
