/**
 * How much of the table is read in one go, in microseconds or in pages: so much that a slice has about `rowsWanted` rows.
 * Each slice is a snapshot of its own, so a smaller one keeps VACUUM waiting for less.
 */
export class SliceSize {
  readonly #rowsWanted: number;
  #width: number;

  constructor(width: number, rowsWanted: number) {
    this.#width = Math.max(1, Math.round(width));
    this.#rowsWanted = rowsWanted;
  }

  get width(): number {
    return this.#width;
  }

  /** Tells how many rows a slice of the present width had. */
  had(rows: number): void {
    const factor = rows === 0 ? FACTOR_MAX : this.#rowsWanted / rows;
    // A gap or a burst is no reason to leap: the next slice knows better.
    const bounded = Math.min(FACTOR_MAX, Math.max(1 / FACTOR_MAX, factor));
    this.#width = Math.min(Number.MAX_SAFE_INTEGER, Math.max(1, Math.round(this.#width * bounded)));
  }
}

const FACTOR_MAX = 4;
