import { WalrelayError } from '../core/walrelay-error.ts';

/**
 * Cuts the byte stream of a replication connection into frames of the frontend/backend protocol and hands each
 * CopyData over in place: no slice, no message object, no event emitter between the socket and the decoder.
 *
 * Owns: the bytes of a frame that has not arrived whole. A frame is copied only when it crosses a read.
 * Must not know: what is inside a CopyData.
 *
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
export class CopyDataReader {
  readonly #handler: FrameHandler;
  readonly #copyDataBytesMax: number;
  /** A frame under construction: `#partial` has room for `#needed` bytes once the header is known. */
  #partial: Buffer = EMPTY;
  #have = 0;
  #needed = 0;
  /** Something was refused in the middle of a read: where the next frame begins is not known any more. */
  #isBroken = false;
  #frameCount = 0;

  /** `copyDataBytesMax` bounds what one frame may make us hold. */
  constructor(handler: FrameHandler, copyDataBytesMax: number) {
    this.#handler = handler;
    this.#copyDataBytesMax = copyDataBytesMax;
  }

  /** Bytes held of a frame that has not arrived whole. Nothing acts on it: it is there for the bound to be seen (I6). */
  get heldBytes(): number {
    return this.#needed;
  }

  /**
   * Returns how many frames became whole. Throws what the handler throws, EVENT_TOO_LARGE or PG_PROTOCOL; after
   * that it ignores everything.
   */
  push(chunk: Buffer): number {
    if (this.#isBroken) return 0;
    this.#isBroken = true;
    const before = this.#frameCount;
    this.#read(chunk);
    this.#isBroken = false;
    return this.#frameCount - before;
  }

  #read(chunk: Buffer): void {
    let offset = this.#have > 0 ? this.#complete(chunk) : 0;
    const end = chunk.length;
    while (end - offset >= HEADER_BYTES) {
      const frameBytes = this.#frameBytes(chunk, offset);
      if (frameBytes > end - offset) break;
      this.#deliver(chunk, offset, offset + frameBytes);
      offset += frameBytes;
    }
    if (offset < end) this.#keep(chunk, offset);
  }

  /** Adds to the frame under construction; returns how many bytes of the chunk that took. */
  #complete(chunk: Buffer): number {
    let offset = 0;
    if (this.#needed === HEADER_BYTES && this.#have < HEADER_BYTES) {
      offset = this.#take(chunk, 0);
      if (this.#have < HEADER_BYTES) return offset;
      this.#needed = this.#frameBytes(this.#partial, 0);
      if (this.#needed > this.#partial.length) this.#grow(this.#needed);
    }
    offset += this.#take(chunk, offset);
    if (this.#have === this.#needed) {
      const frame = this.#partial;
      const frameBytes = this.#needed;
      this.#partial = EMPTY;
      this.#have = 0;
      this.#needed = 0;
      this.#deliver(frame, 0, frameBytes);
    }
    return offset;
  }

  #take(chunk: Buffer, offset: number): number {
    const count = Math.min(this.#needed - this.#have, chunk.length - offset);
    chunk.copy(this.#partial, this.#have, offset, offset + count);
    this.#have += count;
    return count;
  }

  #keep(chunk: Buffer, offset: number): void {
    const rest = chunk.length - offset;
    this.#needed = rest >= HEADER_BYTES ? this.#frameBytes(chunk, offset) : HEADER_BYTES;
    this.#partial = Buffer.allocUnsafe(this.#needed);
    this.#have = 0;
    this.#take(chunk, offset);
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafe(bytes);
    this.#partial.copy(larger, 0, 0, this.#have);
    this.#partial = larger;
  }

  /** The whole frame's length, type byte included. */
  #frameBytes(bytes: Buffer, offset: number): number {
    const length = bytes.readUInt32BE(offset + 1);
    if (length < 4 || length > 0x7fff_ffff) {
      throw new WalrelayError('PG_PROTOCOL', `a frame claims a length of ${length} bytes`);
    }
    if (bytes[offset] === COPY_DATA && length > this.#copyDataBytesMax) {
      throw new WalrelayError(
        'EVENT_TOO_LARGE',
        `a row of ${length} bytes is larger than the limit of ${this.#copyDataBytesMax} bytes`,
        { facts: { rowBytes: length, rowBytesMax: this.#copyDataBytesMax } },
      );
    }
    if (bytes[offset] !== COPY_DATA && length > OTHER_BYTES_MAX) {
      throw new WalrelayError('PG_PROTOCOL', `a frame that is no row claims a length of ${length} bytes`);
    }
    return length + 1;
  }

  #deliver(bytes: Buffer, start: number, end: number): void {
    this.#frameCount += 1;
    if (bytes[start] === COPY_DATA) this.#handler.copyData(bytes, start + HEADER_BYTES, end);
    else this.#handler.other(bytes.subarray(start, end));
  }
}

export interface FrameHandler {
  /** The content of one CopyData: `bytes[start, end)`, valid during the call only. */
  copyData(bytes: Buffer, start: number, end: number): void;
  /** Any other frame, whole, header included. */
  other(frame: Buffer): void;
}

const EMPTY = Buffer.alloc(0);
const HEADER_BYTES = 5;
/** Errors, notices and parameters are short; they must not make us hold gigabytes either. */
const OTHER_BYTES_MAX = 1024 * 1024;
const COPY_DATA = 0x64; // 'd'
