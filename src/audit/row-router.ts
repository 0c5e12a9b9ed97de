import { WalrelayError } from '../core/walrelay-error.ts';
import type { EventRouter, Outbox } from '../route/outbox.ts';
import type { TextRow } from './reading-connection.ts';

/** The stream of a row, by the relay's own router: it reads bytes, so the routing values are laid out for it. */
export class RowRouter {
  readonly #router: EventRouter;
  readonly #slots: readonly number[];
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  #bytes = Buffer.alloc(1024);

  constructor(outbox: Outbox) {
    this.#router = outbox.createRouter();
    this.#slots = outbox.routingSlots;
    this.#starts = new Int32Array(outbox.columns.length);
    this.#lengths = new Int32Array(outbox.columns.length).fill(-1);
  }

  /**
   * `values[from + slot]` is the value of a column. 'none' when the relay would stop in front of such an event, 'dropped' when
   * it is filtered out.
   */
  route(values: TextRow, from: number): { readonly stream: string } | 'none' | 'dropped' {
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
      const stream = this.#router.route(this.#bytes, this.#starts, this.#lengths);
      return stream === null ? 'dropped' : { stream: stream.name };
    } catch (error) {
      if (error instanceof WalrelayError && error.disposition === 'poison') return 'none';
      throw error;
    }
  }
}
