import { formatLsn, type Lsn } from '../core/lsn.ts';
import { type Position, positionToHex } from '../core/position.ts';
import { VALUES_PER_EVENT } from './append-script.ts';
import { CommitTimeFormatter } from './commit-time.ts';

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
  #length = HEADER_BYTES;
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
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  get byteCount(): number {
    return this.#length;
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
    at = this.#putBytes(at, transaction.lsnText, 0, transaction.lsnText.length);
    at = this.#putDecimal(at, ordinal);
    at = this.#putBytes(at, transaction.committedAtText, 0, transaction.committedAtText.length);
    this.#length = at;
  }

  /** The arguments of the append script after epoch and fence. */
  seal(): { previous: string; last: string; count: number; packed: Buffer } {
    const bytes = this.#bytes;
    bytes[0] = 0xdd; // array 32
    bytes.writeUInt32BE(this.#eventCount * VALUES_PER_EVENT, 1);
    return {
      previous: positionToHex(this.previousPosition),
      last: positionToHex(this.lastPosition),
      count: this.#eventCount,
      packed: bytes.subarray(0, this.#length),
    };
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

/** What all events of one transaction share, rendered once. */
export class TransactionStamp {
  commitLsn: Lsn = 0n as Lsn;
  committedAtUs = 0n;
  lsnText: Buffer = Buffer.alloc(0);
  committedAtText: Buffer = Buffer.alloc(0);
  readonly #formatter = new CommitTimeFormatter();

  /** `committedAtUs`: microseconds since 2000-01-01 UTC, as Begin carries it. */
  set(commitLsn: Lsn, committedAtUs: bigint): void {
    this.commitLsn = commitLsn;
    this.committedAtUs = committedAtUs;
    this.lsnText = Buffer.from(formatLsn(commitLsn), 'latin1');
    this.committedAtText = this.#formatter.format(committedAtUs);
  }
}

const HEADER_BYTES = 5;
const ROLE_COUNT = 5;
const INLINE_COPY_BYTES = 48;
/** Number of the key, five headers of at most 5 bytes, LSN text, ordinal, commit time. */
const FIXED_BYTES_PER_EVENT = 3 + 5 * 5 + 18 + 17 + 36;
