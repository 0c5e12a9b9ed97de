import type { Piece, ValueKinds } from '../core/entry-shape.ts';
import type { Lsn } from '../core/lsn.ts';
import { type Position, positionToHex } from '../core/position.ts';
import { type ComposedEvent, measurePieces, writePieces } from './composed-value.ts';
import { PackedBytes } from './packed-bytes.ts';
import { COMMITTED_AT, KEYS_PER_CODE, type PackedShape, type PackedShapes, PIECES } from './packed-shapes.ts';
import type { TransactionStamp } from './transaction-stamp.ts';

/** What the batch builder needs to know of a stream; it marks its place in the current batch there. */
export interface BatchStream {
  readonly name: string;
  /** The number of the shape that its entries have. */
  readonly shape: number;
  batchSeq: number;
  keyIndex: number;
}

/**
 * Events on their way to Redis: one flat MessagePack array (see PackedShapes), copied straight from the WAL chunk. Append
 * order is commit order. A batch is built once, sent once, and never changed after it is sealed.
 */
export class Batch {
  /** Batches of a session are numbered from 1. */
  readonly seq: number;
  /** The position before the first event: the script changes Redis only if the watermark has reached it (I2). */
  readonly previousPosition: Position;
  readonly #keys: string[] = [];
  readonly #shapes: PackedShapes;
  readonly #packed: PackedBytes;
  /** Of one event, besides the bytes of its values. */
  readonly #fixedBytes: number;
  readonly #valuesMax: number;
  #eventCount = 0;
  #lastCommitLsn: Lsn;
  #lastOrdinal: number;
  #oldestCommittedAtUs = 0n;

  constructor(seq: number, previousPosition: Position, bytes: Buffer, shapes: PackedShapes) {
    this.seq = seq;
    this.previousPosition = previousPosition;
    this.#shapes = shapes;
    this.#packed = new PackedBytes(bytes, PACKED_START + ARRAY_HEADER_BYTES);
    this.#valuesMax = shapes.stride - shapes.headValues;
    this.#fixedBytes = HEAD_BYTES + this.#valuesMax * VALUE_BYTES;
    this.#lastCommitLsn = previousPosition.commitLsn;
    this.#lastOrdinal = previousPosition.ordinal;
    this.#packed.reserve(2);
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** The size of the packed events. */
  get byteCount(): number {
    return this.#packed.length - PACKED_START;
  }

  /** The size of the memory behind this batch. */
  get capacityBytes(): number {
    return this.#packed.bytes.length;
  }

  get keys(): readonly string[] {
    return this.#keys;
  }

  get lastPosition(): Position {
    return { commitLsn: this.#lastCommitLsn, ordinal: this.#lastOrdinal };
  }

  /** When the first event's transaction was committed: microseconds since 2000-01-01 UTC, the primary's clock. */
  get oldestCommittedAtUs(): bigint {
    return this.#oldestCommittedAtUs;
  }

  /** The memory, for the next batch to use once this one is accepted. */
  get memory(): Buffer {
    return this.#packed.bytes;
  }

  append(
    stream: BatchStream,
    transaction: TransactionStamp,
    ordinal: number,
    bytes: Buffer,
    starts: Int32Array,
    lengths: Int32Array,
    kinds: ValueKinds = NO_KINDS,
  ): void {
    if (stream.batchSeq !== this.seq) {
      stream.batchSeq = this.seq;
      // KEYS[1] is the lane, and Lua counts from 1.
      stream.keyIndex = this.#keys.push(stream.name) + 1;
    }
    const { sources, pieces } = this.#shapes.shapes[stream.shape] as PackedShape;
    const count = sources.length;
    let needed = this.#fixedBytes;
    let hasNull = false;
    /** Only what is put together needs it. */
    const event: ComposedEvent | null =
      pieces.length === 0 ? null : { bytes, starts, lengths, kinds, transaction, ordinal };
    const composed = event === null ? NONE : measureEach(pieces, event);
    for (let index = 0; index < count; index += 1) {
      const source = sources[index] as number;
      if (source === COMMITTED_AT) continue;
      const length = (source >= 0 ? lengths[source] : composed[PIECES - source]) as number;
      if (length >= 0) needed += length;
      else hasNull = true;
    }
    const packed = this.#packed;
    packed.reserve(needed);

    if (this.#eventCount === 0) this.#oldestCommittedAtUs = transaction.committedAtUs;
    this.#eventCount += 1;
    this.#lastCommitLsn = transaction.commitLsn;
    this.#lastOrdinal = ordinal;

    const code = stream.shape * KEYS_PER_CODE + stream.keyIndex;
    packed.putInt(hasNull ? -code : code);
    packed.putBytes(transaction.lsnText, 0, transaction.lsnLength);
    packed.putDecimal(ordinal);
    for (let index = 0; index < count; index += 1) {
      const source = sources[index] as number;
      if (source >= 0) {
        const length = lengths[source] as number;
        if (length < 0) packed.putNil();
        else packed.putBytes(bytes, starts[source] as number, length);
      } else if (source === COMMITTED_AT) {
        packed.putBytes(transaction.committedAtText, 0, transaction.committedAtText.length);
      } else {
        const each = PIECES - source;
        putPieces(packed, pieces[each] as readonly Piece[], composed[each] as number, event as ComposedEvent);
      }
    }
    for (let rest = this.#valuesMax - count; rest > 0; rest -= 1) packed.putNil();
  }

  /** The arguments of the append script after epoch and fence. */
  seal(): { previous: string; last: string; count: number; packed: Buffer } {
    const { bytes } = this.#packed;
    bytes[PACKED_START] = 0xdd; // array 32
    bytes.writeUInt32BE(this.#eventCount * this.#shapes.stride, PACKED_START + 1);
    return {
      previous: positionToHex(this.previousPosition),
      last: positionToHex(this.lastPosition),
      count: this.#eventCount,
      packed: bytes.subarray(PACKED_START, this.#packed.length),
    };
  }

  /**
   * A whole command: `head`, then the packed events as its last argument. In one piece and without copying them,
   * unless the head is longer than the room in front of them: a batch for very many streams.
   */
  frame(head: string): Buffer {
    const { bytes } = this.#packed;
    const end = bytes.write('\r\n', this.#packed.length, 'latin1') + this.#packed.length;
    const headBytes = Buffer.byteLength(head);
    if (headBytes > PACKED_START)
      return Buffer.concat([Buffer.from(head), bytes.subarray(PACKED_START, end)]);
    bytes.write(head, PACKED_START - headBytes, 'utf8');
    return bytes.subarray(PACKED_START - headBytes, end);
  }
}

/** Room in front of the packed events, for the beginning of the command that carries them. */
const PACKED_START = 1024;
const ARRAY_HEADER_BYTES = 5;
/** Code, LSN text and ordinal; the command's CR LF. */
const HEAD_BYTES = 5 + 18 + 17 + 2;
/** The header of a value; or a commit time, whole. */
const VALUE_BYTES = 36;

const NO_KINDS: ValueKinds = [];
const NONE: readonly number[] = [];

/** Not in `append` itself: a closure there would cost every event an object, composed or not. */
function measureEach(pieces: readonly (readonly Piece[])[], event: ComposedEvent): readonly number[] {
  return pieces.map((each) => measurePieces(each, event));
}

function putPieces(
  packed: PackedBytes,
  pieces: readonly Piece[],
  length: number,
  event: ComposedEvent,
): void {
  if (length < 0) packed.putNil();
  else packed.length = writePieces(packed.bytes, packed.putHeader(length), pieces, event);
}
