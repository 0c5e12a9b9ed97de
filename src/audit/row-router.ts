import { WalrelayError } from '../core/walrelay-error.ts';
import type { EventColumns } from '../route/event-columns.ts';
import type { StreamRouter } from '../route/stream-router.ts';
import type { TextRow } from './reading-connection.ts';

/** The stream of a row, by the relay's own router: it reads bytes, so the routing values are laid out for it. */
export class RowRouter {
  readonly #router: StreamRouter;
  readonly #slots: readonly number[];
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  #bytes = Buffer.alloc(1024);

  constructor(columns: EventColumns) {
    this.#router = columns.createRouter();
    this.#slots = [...new Set(columns.templateSlots)];
    this.#starts = new Int32Array(columns.names.length);
    this.#lengths = new Int32Array(columns.names.length).fill(-1);
  }

  /** `values[from + slot]` is the value of a column. Null when the relay would stop in front of such an event. */
  route(values: TextRow, from: number): string | null {
    let at = 0;
    for (const slot of this.#slots) {
      const value = values[from + slot] ?? null;
      const length = value === null ? -1 : Buffer.byteLength(value);
      this.#lengths[slot] = length;
      if (value === null) continue;
      if (at + length > this.#bytes.length) {
        this.#bytes = Buffer.concat([this.#bytes], Math.max(at + length, 2 * this.#bytes.length));
      }
      this.#starts[slot] = at;
      at += this.#bytes.write(value, at);
    }
    try {
      return this.#router.route(this.#bytes, this.#starts, this.#lengths).name;
    } catch (error) {
      if (error instanceof WalrelayError && error.disposition === 'poison') return null;
      throw error;
    }
  }
}
