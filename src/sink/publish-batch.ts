import type { Piece, ValueKinds } from '../core/entry-shape.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { checkComposedSize } from './composed-size.ts';
import { measurePieces, writePieces } from './composed-value.ts';
import { PackedBytes } from './packed-bytes.ts';
import { KEYS_PER_CODE, type PackedShape, type PackedShapes, PIECES } from './packed-shapes.ts';

export interface PublishBatchLimits {
  readonly batchEventsMax: number;
  readonly batchBytesMax: number;
  readonly eventBytesMax: number;
}

/** Finds the stream of the event whose values lie in `bytes`, by their slots. Throws for an event that has none. */
export interface PublishRouter {
  /** Null: the event is filtered out. */
  route(
    bytes: Buffer,
    starts: Int32Array,
    lengths: Int32Array,
  ): { readonly name: string; readonly shape: number } | null;
}

/**
 * The rows of one script call: a flat MessagePack array. Used again for the next call once Redis has answered; a worker
 * has one.
 */
export class PublishBatch {
  readonly shapes: PackedShapes;
  readonly #limits: PublishBatchLimits;
  readonly #encodings: readonly ValueEncoding[];
  readonly #kinds: ValueKinds;
  readonly #router: PublishRouter;
  readonly #keys: string[] = [];
  readonly #keyNumbers = new Map<string, number>();
  readonly #keyOfEvent: number[] = [];
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  /** The values of the row in hand, as bytes, by slot. */
  #row = Buffer.allocUnsafeSlow(1024);
  #packed: PackedBytes;

  /** `encodings`: for each slot, how the text of a value stands for its bytes; `kinds`: what the value is. */
  constructor(
    limits: PublishBatchLimits,
    options: {
      shapes: PackedShapes;
      encodings: readonly ValueEncoding[];
      kinds: ValueKinds;
      router: PublishRouter;
    },
  ) {
    this.shapes = options.shapes;
    this.#limits = limits;
    this.#encodings = options.encodings;
    this.#kinds = options.kinds;
    this.#router = options.router;
    this.#starts = new Int32Array(options.encodings.length);
    this.#lengths = new Int32Array(options.encodings.length);
    this.#packed = new PackedBytes(Buffer.allocUnsafeSlow(limits.batchBytesMax), HEADER_BYTES);
  }

  get eventCount(): number {
    return this.#keyOfEvent.length;
  }

  get byteCount(): number {
    return this.#packed.length;
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
    const { batchBytesMax } = this.#limits;
    // One that grew for a large event gives the memory back.
    const isLarge = this.#packed.bytes.length > 2 * batchBytesMax;
    const bytes = isLarge ? Buffer.allocUnsafeSlow(batchBytesMax) : this.#packed.bytes;
    this.#packed = new PackedBytes(bytes, HEADER_BYTES);
    if (this.#row.length > batchBytesMax) this.#row = Buffer.allocUnsafeSlow(1024);
  }

  /**
   * Takes the values of a row, which begin at `row[from]`. `full`: the batch has to go out first; a row that is larger than
   * a batch goes alone. `dropped`: its route says that it is no event. Throws what makes the event impassable, and is then
   * as it was before.
   */
  add(row: readonly (string | null)[], from: number): 'added' | 'full' | 'dropped' {
    const { batchEventsMax, batchBytesMax, eventBytesMax } = this.#limits;
    const valueBytes = this.#read(row, from);
    if (valueBytes > eventBytesMax) {
      throw new WalrelayError(
        'EVENT_TOO_LARGE',
        `the event has ${valueBytes} bytes, more than ${eventBytesMax}`,
      );
    }
    if (this.eventCount > 0 && this.eventCount === batchEventsMax) return 'full';
    const stream = this.#router.route(this.#row, this.#starts, this.#lengths);
    if (stream === null) return 'dropped';
    if (this.#keys.length === BATCH_KEYS_MAX && !this.#keyNumbers.has(stream.name)) return 'full';
    const shape = this.shapes.shapes[stream.shape] as PackedShape;
    const { sources, pieces } = shape;
    const event = {
      bytes: this.#row,
      starts: this.#starts,
      lengths: this.#lengths,
      kinds: this.#kinds,
      transaction: null,
      ordinal: 0,
    };
    checkComposedSize(shape, event, eventBytesMax, stream.name);
    const sizes = Array.from(sources, (source) =>
      source >= 0
        ? (this.#lengths[source] as number)
        : measurePieces(pieces[PIECES - source] as readonly Piece[], event),
    );
    const needed =
      sizes.reduce((sum, size) => sum + Math.max(0, size), CODE_BYTES) +
      VALUE_HEADER_BYTES_MAX * this.shapes.stride;
    if (this.eventCount > 0 && this.#packed.length + needed > batchBytesMax) return 'full';
    this.#packed.reserve(needed);

    const key = this.#keyNumber(stream.name);
    const code = stream.shape * KEYS_PER_CODE + key;
    this.#packed.putInt(sizes.some((size) => size < 0) ? -code : code);
    sizes.forEach((size, place) => {
      const source = sources[place] as number;
      if (size < 0) this.#packed.putNil();
      else if (source >= 0) this.#packed.putBytes(this.#row, this.#starts[source] as number, size);
      else {
        const at = this.#packed.putHeader(size);
        this.#packed.length = writePieces(
          this.#packed.bytes,
          at,
          pieces[PIECES - source] as readonly Piece[],
          event,
        );
      }
    });
    for (let rest = this.shapes.stride - 1 - sizes.length; rest > 0; rest -= 1) this.#packed.putNil();
    this.#keyOfEvent.push(key);
    return 'added';
  }

  /** The arguments of the script. The bytes stay what they are until `clear`. */
  seal(): { readonly count: number; readonly packed: Buffer } {
    const { bytes, length } = this.#packed;
    bytes[0] = 0xdd; // array 32
    bytes.writeUInt32BE(this.eventCount * this.shapes.stride, 1);
    return { count: this.eventCount, packed: bytes.subarray(0, length) };
  }

  /** Lays the values of a row out as bytes. Returns how many there are. */
  #read(row: readonly (string | null)[], from: number): number {
    let needed = 0;
    this.#encodings.forEach((encoding, slot) => {
      const value = row[from + slot] ?? null;
      const length = value === null ? -1 : Buffer.byteLength(value, encoding);
      this.#starts[slot] = needed;
      this.#lengths[slot] = length;
      needed += Math.max(0, length);
    });
    if (needed > this.#row.length) this.#row = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#row.length));
    this.#encodings.forEach((encoding, slot) => {
      const value = row[from + slot] ?? null;
      if (value !== null)
        this.#row.write(value, this.#starts[slot] as number, this.#lengths[slot] as number, encoding);
    });
    return needed;
  }

  #keyNumber(name: string): number {
    const known = this.#keyNumbers.get(name);
    if (known !== undefined) return known;
    // Lua counts from 1.
    const number = this.#keys.push(name);
    this.#keyNumbers.set(name, number);
    return number;
  }
}

export type ValueEncoding = 'utf8' | 'hex';

/** A script gets its keys as a Lua table; and a code has room for so many. */
const BATCH_KEYS_MAX = 1000;
const HEADER_BYTES = 5;
const CODE_BYTES = 5;
const VALUE_HEADER_BYTES_MAX = 5;
