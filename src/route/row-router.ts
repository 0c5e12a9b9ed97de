import { WalrelayError } from '../core/walrelay-error.ts';
import type { EventRouter, Outbox } from './outbox.ts';

/**
 * The stream of a row that came as text, by the relay's own router: that reads bytes, so the routing values are laid out
 * for it.
 */
export class RowRouter {
  readonly #router: EventRouter;
  readonly #slots: readonly number[];
  readonly #placeOf: (slot: number) => number;
  readonly #encoding: 'utf8' | 'hex';
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  #bytes = Buffer.alloc(1024);

  /** `placeOf`: where in a row the value of a column is, by the column's slot; `isRaw`: as hex, not as text. */
  constructor(
    outbox: Pick<Outbox, 'createRouter' | 'routingSlots'>,
    placeOf: (slot: number) => number,
    { isRaw = false }: { readonly isRaw?: boolean } = {},
  ) {
    this.#router = outbox.createRouter();
    this.#slots = outbox.routingSlots;
    this.#placeOf = placeOf;
    this.#encoding = isRaw ? 'hex' : 'utf8';
    const slotCount = Math.max(0, ...this.#slots.map((slot) => slot + 1));
    this.#starts = new Int32Array(slotCount);
    this.#lengths = new Int32Array(slotCount);
  }

  /** Null: it is filtered out. Throws EVENT_NO_ROUTE or EVENT_STREAM_NAME for an event that has no stream. */
  route(row: readonly (string | null)[]): string | null {
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
    return this.#router.route(this.#bytes, this.#starts, this.#lengths)?.name ?? null;
  }

  /** 'none' for an event that the relay would stop in front of, 'dropped' for one that is filtered out. */
  find(row: readonly (string | null)[]): { readonly stream: string } | 'none' | 'dropped' {
    try {
      const stream = this.route(row);
      return stream === null ? 'dropped' : { stream };
    } catch (error) {
      if (error instanceof WalrelayError && error.disposition === 'poison') return 'none';
      throw error;
    }
  }
}
