import { WalrelayError } from '../core/walrelay-error.ts';
import { POLLED_ENTRY_FIELDS, VALUES_PER_POLLED_EVENT } from './publish-script.ts';

export interface PublishBatchLimits {
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly eventBytesMax: number;
}

/** Finds the stream of the event whose values lie in `bytes`, by their slots. Throws for an event that has none. */
export interface PublishRouter {
  route(bytes: Buffer, starts: Int32Array, lengths: Int32Array): { readonly name: string };
}

/**
 * The rows of one script call: a flat MessagePack array, written straight from the text that Postgres sent. Used again
 * for the next call once Redis has answered; a worker has one.
 */
export class PublishBatch {
  readonly #limits: PublishBatchLimits;
  /** How the text of a value stands for its bytes: as it is, or as hex where the database has no encoding. */
  readonly #encoding: ValueEncoding;
  readonly #router: PublishRouter;
  readonly #keys: string[] = [];
  readonly #keyNumbers = new Map<string, number>();
  readonly #keyOfEvent: number[] = [];
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  #bytes: Buffer;
  #length = HEADER_BYTES;

  /** `valueCount`: the entry's values and whatever else the stream's name is made of. */
  constructor(
    limits: PublishBatchLimits,
    options: { encoding: ValueEncoding; router: PublishRouter; valueCount: number },
  ) {
    this.#limits = limits;
    this.#encoding = options.encoding;
    this.#router = options.router;
    this.#starts = new Int32Array(options.valueCount);
    this.#lengths = new Int32Array(options.valueCount);
    this.#bytes = Buffer.allocUnsafeSlow(limits.batchBytesMax);
  }

  get eventCount(): number {
    return this.#keyOfEvent.length;
  }

  get byteCount(): number {
    return this.#length;
  }

  get keys(): readonly string[] {
    return this.#keys;
  }

  streamOf(event: number): string {
    return this.#keys[(this.#keyOfEvent[event] ?? 0) - 1] ?? '?';
  }

  clear(): void {
    this.#keys.length = 0;
    this.#keyNumbers.clear();
    this.#keyOfEvent.length = 0;
    this.#length = HEADER_BYTES;
    // One that grew for a large event gives the memory back.
    if (this.#bytes.length > 2 * this.#limits.batchBytesMax) {
      this.#bytes = Buffer.allocUnsafeSlow(this.#limits.batchBytesMax);
    }
  }

  /**
   * Takes the values of a row, which begin at `row[from]`. False when the batch is full and has to go out first; a row
   * that is larger than a batch goes alone. Throws what makes the event impassable, and is then as it was before.
   */
  add(row: readonly (string | null)[], from: number): boolean {
    const { batchEventsMax, batchBytesMax, eventBytesMax } = this.#limits;
    const lengths = this.#lengths;
    const encoding = this.#encoding;
    let valueBytes = 0;
    for (let slot = 0; slot < lengths.length; slot += 1) {
      const value = row[from + slot] ?? null;
      lengths[slot] = value === null ? -1 : Buffer.byteLength(value, encoding);
      if (value !== null) valueBytes += lengths[slot] as number;
    }
    if (valueBytes > eventBytesMax) {
      throw new WalrelayError(
        'EVENT_TOO_LARGE',
        `the event has ${valueBytes} bytes, more than ${eventBytesMax}`,
      );
    }
    const needed = KEY_BYTES + VALUE_HEADER_BYTES_MAX * lengths.length + valueBytes;
    if (
      this.eventCount > 0 &&
      (this.eventCount === batchEventsMax || this.#length + needed > batchBytesMax)
    ) {
      return false;
    }
    if (this.#length + needed > this.#bytes.length) this.#grow(this.#length + needed);

    let hasNull = false;
    let at = this.#length + KEY_BYTES;
    let end = at;
    for (let slot = 0; slot < lengths.length; slot += 1) {
      at = this.#put(at, row[from + slot] ?? null, slot);
      // What follows the fields only serves the stream's name: the next event is written over it.
      if (slot < POLLED_ENTRY_FIELDS.length) {
        end = at;
        if ((lengths[slot] as number) < 0) hasNull = true;
      }
    }
    const stream = this.#router.route(this.#bytes, this.#starts, lengths);
    const key = this.#keyNumber(stream.name);
    this.#putKey(hasNull ? -key : key);
    this.#keyOfEvent.push(key);
    this.#length = end;
    return true;
  }

  /** The arguments of the script. The bytes stay what they are until `clear`. */
  seal(): { readonly count: number; readonly packed: Buffer } {
    this.#bytes[0] = 0xdd; // array 32
    this.#bytes.writeUInt32BE(this.eventCount * VALUES_PER_POLLED_EVENT, 1);
    return { count: this.eventCount, packed: this.#bytes.subarray(0, this.#length) };
  }

  #keyNumber(name: string): number {
    const known = this.#keyNumbers.get(name);
    if (known !== undefined) return known;
    // Lua counts from 1.
    const number = this.#keys.push(name);
    this.#keyNumbers.set(name, number);
    return number;
  }

  #putKey(key: number): void {
    this.#bytes[this.#length] = 0xd1; // int 16
    this.#bytes.writeInt16BE(key, this.#length + 1);
  }

  #put(at: number, value: string | null, slot: number): number {
    const bytes = this.#bytes;
    if (value === null) {
      bytes[at] = 0xc0;
      return at + 1;
    }
    const length = this.#lengths[slot] as number;
    let start = at + 1;
    if (length < 32) {
      bytes[at] = 0xa0 | length;
    } else if (length < 0x1_0000) {
      bytes[at] = 0xda;
      bytes.writeUInt16BE(length, start);
      start += 2;
    } else {
      bytes[at] = 0xdb;
      bytes.writeUInt32BE(length, start);
      start += 4;
    }
    this.#starts[slot] = start;
    return start + bytes.write(value, start, length, this.#encoding);
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

export type ValueEncoding = 'utf8' | 'hex';

const HEADER_BYTES = 5;
const KEY_BYTES = 3;
const VALUE_HEADER_BYTES_MAX = 5;
