import type { Lsn } from '../core/lsn.ts';
import { type Position, positionToHex } from '../core/position.ts';
import { VALUES_PER_EVENT } from './append-script.ts';
import type { TransactionStamp } from './transaction-stamp.ts';

/** What the batch builder needs to know of a stream; it marks its place in the current batch there. */
export interface BatchStream {
  readonly name: string;
  batchSeq: number;
  keyIndex: number;
}

/**
 * Events on their way to Redis: one flat MessagePack array, nine values an event, copied straight from the WAL
 * chunk. Append order is commit order. A batch is built once, sent once, and never changed after it is sealed.
 */
export class Batch {
  /** Batches of a session are numbered from 1. */
  readonly seq: number;
  /** The position before the first event: the script changes Redis only if the watermark has reached it (I2). */
  readonly previousPosition: Position;
  readonly #keys: string[] = [];
  #bytes: Buffer;
  #length = PACKED_START + ARRAY_HEADER_BYTES;
  #eventCount = 0;
  #lastCommitLsn: Lsn;
  #lastOrdinal: number;
  #oldestCommittedAtUs = 0n;

  constructor(seq: number, previousPosition: Position, bytes: Buffer) {
    this.seq = seq;
    this.previousPosition = previousPosition;
    this.#bytes = bytes;
    this.#lastCommitLsn = previousPosition.commitLsn;
    this.#lastOrdinal = previousPosition.ordinal;
    if (bytes.length < EMPTY_BYTES) this.#grow(EMPTY_BYTES);
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** The size of the packed events. */
  get byteCount(): number {
    return this.#length - PACKED_START;
  }

  /** The size of the memory behind this batch. */
  get capacityBytes(): number {
    return this.#bytes.length;
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
    return this.#bytes;
  }

  append(
    stream: BatchStream,
    transaction: TransactionStamp,
    ordinal: number,
    bytes: Buffer,
    starts: Int32Array,
    lengths: Int32Array,
  ): void {
    if (stream.batchSeq !== this.seq) {
      stream.batchSeq = this.seq;
      // KEYS[1] is the lane, and Lua counts from 1.
      stream.keyIndex = this.#keys.push(stream.name) + 1;
    }
    let needed = FIXED_BYTES_PER_EVENT;
    let hasNull = false;
    for (let role = 0; role < ROLE_COUNT; role += 1) {
      const length = lengths[role] as number;
      if (length < 0) hasNull = true;
      else needed += length;
    }
    if (this.#length + needed > this.#bytes.length) this.#grow(this.#length + needed);

    if (this.#eventCount === 0) this.#oldestCommittedAtUs = transaction.committedAtUs;
    this.#eventCount += 1;
    this.#lastCommitLsn = transaction.commitLsn;
    this.#lastOrdinal = ordinal;

    let at = this.#putInt16(this.#length, hasNull ? -stream.keyIndex : stream.keyIndex);
    for (let role = 0; role < ROLE_COUNT; role += 1) {
      const length = lengths[role] as number;
      at = length < 0 ? this.#putNil(at) : this.#putBytes(at, bytes, starts[role] as number, length);
    }
    at = this.#putBytes(at, transaction.lsnText, 0, transaction.lsnLength);
    at = this.#putDecimal(at, ordinal);
    at = this.#putBytes(at, transaction.committedAtText, 0, transaction.committedAtText.length);
    this.#length = at;
  }

  /** The arguments of the append script after epoch and fence. */
  seal(): { previous: string; last: string; count: number; packed: Buffer } {
    const bytes = this.#bytes;
    bytes[PACKED_START] = 0xdd; // array 32
    bytes.writeUInt32BE(this.#eventCount * VALUES_PER_EVENT, PACKED_START + 1);
    return {
      previous: positionToHex(this.previousPosition),
      last: positionToHex(this.lastPosition),
      count: this.#eventCount,
      packed: bytes.subarray(PACKED_START, this.#length),
    };
  }

  /**
   * A whole command: `head`, then the packed events as its last argument. In one piece and without copying them,
   * unless the head is longer than the room in front of them: a batch for very many streams.
   */
  frame(head: string): Buffer {
    const bytes = this.#bytes;
    const end = bytes.write('\r\n', this.#length, 'latin1') + this.#length;
    const headBytes = Buffer.byteLength(head);
    if (headBytes > PACKED_START)
      return Buffer.concat([Buffer.from(head), bytes.subarray(PACKED_START, end)]);
    bytes.write(head, PACKED_START - headBytes, 'utf8');
    return bytes.subarray(PACKED_START - headBytes, end);
  }

  #putInt16(at: number, value: number): number {
    const bytes = this.#bytes;
    bytes[at] = 0xd1;
    bytes[at + 1] = (value >> 8) & 0xff;
    bytes[at + 2] = value & 0xff;
    return at + 3;
  }

  #putNil(at: number): number {
    this.#bytes[at] = 0xc0;
    return at + 1;
  }

  #putBytes(at: number, from: Buffer, start: number, length: number): number {
    const bytes = this.#bytes;
    let offset = at;
    if (length < 32) {
      bytes[offset] = 0xa0 | length;
      offset += 1;
    } else if (length < 0x1_0000) {
      bytes[offset] = 0xda;
      bytes[offset + 1] = length >> 8;
      bytes[offset + 2] = length & 0xff;
      offset += 3;
    } else {
      bytes[offset] = 0xdb;
      bytes.writeUInt32BE(length, offset + 1);
      offset += 5;
    }
    if (length < INLINE_COPY_BYTES) {
      // A call into native code costs more than copying a short value does.
      for (let index = 0; index < length; index += 1) bytes[offset + index] = from[start + index] as number;
    } else {
      from.copy(bytes, offset, start, start + length);
    }
    return offset + length;
  }

  #putDecimal(at: number, value: number): number {
    const bytes = this.#bytes;
    if (value < 10) {
      bytes[at] = 0xa1;
      bytes[at + 1] = 0x30 + value;
      return at + 2;
    }
    const text = String(value);
    bytes[at] = 0xa0 | text.length;
    for (let index = 0; index < text.length; index += 1) bytes[at + 1 + index] = text.charCodeAt(index);
    return at + 1 + text.length;
  }

  #grow(needed: number): void {
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.#bytes.length * 2));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

/** Room in front of the packed events, for the beginning of the command that carries them. */
const PACKED_START = 1024;
const ARRAY_HEADER_BYTES = 5;
const EMPTY_BYTES = PACKED_START + ARRAY_HEADER_BYTES + 2;
const ROLE_COUNT = 5;
const INLINE_COPY_BYTES = 48;
/** Number of the key, five headers of at most 5 bytes, LSN text, ordinal, commit time; the command's CR LF. */
const FIXED_BYTES_PER_EVENT = 3 + 5 * 5 + 18 + 17 + 36 + 2;
