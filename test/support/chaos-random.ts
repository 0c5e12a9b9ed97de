import { randomInt } from 'node:crypto';

/** What a chaos run does is drawn from one seed; when it happens is up to the machine. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** In [0, 1). Mulberry32. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** Both ends included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(0, list.length - 1)] as T;
  }

  /** In an order of its own; the list stays as it is. */
  shuffle<T>(list: readonly T[]): T[] {
    const shuffled = [...list];
    for (let last = shuffled.length - 1; last > 0; last -= 1) {
      const other = this.int(0, last);
      [shuffled[last], shuffled[other]] = [shuffled[other] as T, shuffled[last] as T];
    }
    return shuffled;
  }
}

/** CHAOS_SEED, or a new one; printed, so that a failure can be repeated. */
export function chaosSeed(name: string): number {
  const given = process.env['CHAOS_SEED'];
  const seed = given === undefined || given === '' ? randomInt(0x1_0000_0000) : Number(given);
  if (!Number.isInteger(seed)) throw new Error(`CHAOS_SEED is no whole number: ${given}`);
  console.log(`${name}: CHAOS_SEED=${seed}`);
  return seed;
}
