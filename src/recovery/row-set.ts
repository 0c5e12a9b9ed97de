/** A set of row numbers, one bit each: a hundred million rows take 12.5 MB. */
export class RowSet {
  #bits = new Uint8Array(1024);
  #size = 0;
  #first = Number.POSITIVE_INFINITY;
  #isWhole = false;

  /** The rows from 0 on, `count` of them. */
  static whole(count: number): RowSet {
    const set = new RowSet();
    set.#isWhole = true;
    set.#size = count;
    set.#first = 0;
    return set;
  }

  get size(): number {
    return this.#size;
  }

  /** The least of them; infinite when there is none. */
  get first(): number {
    return this.#first;
  }

  add(row: number): void {
    const at = Math.floor(row / 8);
    if (at >= this.#bits.length) {
      const larger = new Uint8Array(Math.max(at + 1, this.#bits.length * 2));
      larger.set(this.#bits);
      this.#bits = larger;
    }
    this.#bits[at] = (this.#bits[at] as number) | (1 << (row % 8));
    this.#size += 1;
    if (row < this.#first) this.#first = row;
  }

  has(row: number): boolean {
    if (this.#isWhole) return row < this.#size;
    return (((this.#bits[Math.floor(row / 8)] ?? 0) >> (row % 8)) & 1) === 1;
  }

  hasAny(from: number, count: number): boolean {
    for (let row = from; row < from + count; row += 1) if (this.has(row)) return true;
    return false;
  }
}
