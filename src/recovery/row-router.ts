import type { EventRouter, Outbox } from '../route/outbox.ts';
import type { TextRow } from '../source/snapshot-reader.ts';

/** Finds the stream of a row that came as text. */
export class RowRouter {
  readonly #router: EventRouter;
  readonly #slots: readonly number[];
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  readonly #encoding: 'utf8' | 'hex';

  constructor(outbox: Outbox, isRaw: boolean) {
    this.#router = outbox.createRouter();
    this.#slots = outbox.routingSlots;
    this.#starts = new Int32Array(outbox.columns.length);
    this.#lengths = new Int32Array(outbox.columns.length).fill(-1);
    this.#encoding = isRaw ? 'hex' : 'utf8';
  }

  /**
   * `placeOf`: where in the row the value is that belongs to the n-th of the outbox's routing slots, and to that slot. Null:
   * it is filtered out. Throws for an event that has no stream.
   */
  route(row: TextRow, placeOf: (place: number, slot: number) => number): string | null {
    const values: Buffer[] = [];
    let at = 0;
    this.#slots.forEach((slot, place) => {
      const text = row[placeOf(place, slot)] ?? null;
      const value = Buffer.from(text ?? '', this.#encoding);
      this.#starts[slot] = at;
      this.#lengths[slot] = text === null ? -1 : value.length;
      at += value.length;
      values.push(value);
    });
    return this.#router.route(Buffer.concat(values), this.#starts, this.#lengths)?.name ?? null;
  }
}
