import type { OutboxShape } from '../relay/outbox-shape.ts';
import type { StreamRouter } from '../route/stream-router.ts';
import type { TextRow } from '../source/snapshot-reader.ts';

/** Finds the stream of a row that came as text. */
export class RowRouter {
  readonly #router: StreamRouter;
  readonly #slots: readonly number[];
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  readonly #encoding: 'utf8' | 'hex';

  constructor(shape: OutboxShape, isRaw: boolean) {
    this.#router = shape.createRouter();
    this.#slots = shape.templateSlots;
    this.#starts = new Int32Array(shape.columns.names.length);
    this.#lengths = new Int32Array(shape.columns.names.length).fill(-1);
    this.#encoding = isRaw ? 'hex' : 'utf8';
  }

  /**
   * `placeOf`: where in the row the value is that belongs to the template's n-th placeholder and the column's slot. Throws
   * for an event that has no stream.
   */
  route(row: TextRow, placeOf: (placeholder: number, slot: number) => number): string {
    const values: Buffer[] = [];
    let at = 0;
    this.#slots.forEach((slot, placeholder) => {
      const text = row[placeOf(placeholder, slot)] ?? null;
      const value = Buffer.from(text ?? '', this.#encoding);
      this.#starts[slot] = at;
      this.#lengths[slot] = text === null ? -1 : value.length;
      at += value.length;
      values.push(value);
    });
    return this.#router.route(Buffer.concat(values), this.#starts, this.#lengths).name;
  }
}
