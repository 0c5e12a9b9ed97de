import type { Random } from '../support/chaos-random.ts';

/**
 * The decisions of one step, as a list of small numbers. A seed makes them up; a recorded list gives them again, and
 * where it is shorter than what is asked for, 0 comes: the tamest decision there is. So a schedule is made simpler by leaving numbers
 * out or by lowering them, and stays a schedule whatever is left.
 */
export class Draws {
  readonly taken: number[] = [];
  readonly #given: readonly number[];
  readonly #random: Random | null;

  constructor(given: readonly number[], random: Random | null) {
    this.#given = given;
    this.#random = random;
  }

  /** 0 to 65535. */
  next(): number {
    const value =
      this.#random === null
        ? (this.#given[this.taken.length] ?? 0)
        : Math.floor(this.#random.next() * DRAW_LIMIT);
    this.taken.push(value);
    return value;
  }

  /** 0 to count − 1. */
  below(count: number): number {
    return count <= 1 ? 0 : this.next() % count;
  }

  /** Both ends included; the tamest is `min`. */
  between(min: number, max: number): number {
    return min + this.below(max - min + 1);
  }

  /** Once in `times`; never when nothing is left to draw. */
  once(times: number): boolean {
    return this.next() % times === times - 1;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
}

export const DRAW_LIMIT = 0x1_0000;
