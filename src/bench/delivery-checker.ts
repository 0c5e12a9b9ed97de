import type { DeliveryCheck } from './bench-report.ts';

/** Holds what stands in the streams against what was committed: everything once, each aggregate in order. */
export class DeliveryChecker {
  readonly #seen: ReadonlyMap<number, Uint8Array>;
  readonly #aggregateOf: (producer: number, number: number) => number;
  readonly #newest = new Map<string, number>();
  #missing: number;
  #duplicated = 0;
  #misordered = 0;
  #foreign = 0;

  /** `committed`: each producer's number of events; they are numbered from 0. */
  constructor(
    committed: ReadonlyMap<number, number>,
    aggregateOf: (producer: number, number: number) => number,
  ) {
    this.#seen = new Map([...committed].map(([producer, count]) => [producer, new Uint8Array(count)]));
    this.#aggregateOf = aggregateOf;
    this.#missing = [...committed.values()].reduce((sum, count) => sum + count, 0);
  }

  /** The next entry of a stream, in the stream's order. An entry twice counts as a duplicate, whatever its place. */
  add(producer: number, number: number): void {
    const seen = this.#seen.get(producer);
    if (seen === undefined || number >= seen.length) {
      this.#foreign += 1;
      return;
    }
    if (seen[number] === 1) {
      this.#duplicated += 1;
      return;
    }
    seen[number] = 1;
    this.#missing -= 1;
    const aggregate = `${producer}-${this.#aggregateOf(producer, number)}`;
    const newest = this.#newest.get(aggregate);
    if (newest !== undefined && number < newest) this.#misordered += 1;
    else this.#newest.set(aggregate, number);
  }

  /** Entries of events that nobody committed, or without a marker. */
  addForeign(): void {
    this.#foreign += 1;
  }

  result(timedOut: boolean): DeliveryCheck {
    return {
      missing: this.#missing,
      duplicated: this.#duplicated,
      misordered: this.#misordered,
      timedOut,
      ...(this.#foreign === 0 ? {} : { foreign: this.#foreign }),
    };
  }
}
