import { WalrelayError } from '../core/walrelay-error.ts';
import type { EventColumns } from './event-columns.ts';
import type { StreamRouter } from './stream-router.ts';

/**
 * The stream of a row that came as text, by the relay's own router: that reads bytes, so the routing values are laid out
 * for it.
 */
export class RowRouter {
  readonly #router: StreamRouter;
  readonly #slots: readonly number[];
  readonly #placeOf: (slot: number) => number;
  readonly #encoding: 'utf8' | 'hex';
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  #bytes = Buffer.alloc(1024);

  /** `placeOf`: where in a row the value of a column is, by the column's slot; `isRaw`: as hex, not as text. */
  constructor(
    columns: Pick<EventColumns, 'createRouter' | 'templateSlots'>,
    placeOf: (slot: number) => number,
    { isRaw = false }: { readonly isRaw?: boolean } = {},
  ) {
    this.#router = columns.createRouter();
    this.#slots = [...new Set(columns.templateSlots)];
    this.#placeOf = placeOf;
    this.#encoding = isRaw ? 'hex' : 'utf8';
    const slotCount = Math.max(0, ...this.#slots.map((slot) => slot + 1));
    this.#starts = new Int32Array(slotCount);
    this.#lengths = new Int32Array(slotCount);
  }

  /** Throws EVENT_NO_ROUTE or EVENT_STREAM_NAME for an event that has no stream. */
  route(row: readonly (string | null)[]): string {
    let at = 0;
    for (const slot of this.#slots) {
      const value = row[this.#placeOf(slot)] ?? null;
      this.#lengths[slot] = value === null ? -1 : Buffer.byteLength(value, this.#encoding);
      if (value === null) continue;
      const end = at + this.#lengths[slot];
      if (end > this.#bytes.length) {
        this.#bytes = Buffer.concat([this.#bytes], Math.max(end, 2 * this.#bytes.length));
      }
      this.#starts[slot] = at;
      at += this.#bytes.write(value, at, this.#encoding);
    }
    return this.#router.route(this.#bytes, this.#starts, this.#lengths).name;
  }

  /** Null for an event that the relay would stop in front of. */
  find(row: readonly (string | null)[]): string | null {
    try {
      return this.route(row);
    } catch (error) {
      if (error instanceof WalrelayError && error.disposition === 'poison') return null;
      throw error;
    }
  }
}
