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
  /** The frame under the cursor is above the limit. */
  #isLarge = false;
  /** Bytes to come of a frame that is passed over. */
  #unwanted = 0;
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
    let offset = this.#unwanted > 0 ? this.#passOver(chunk, 0) : 0;
    if (this.#have > 0) {
      offset = this.#complete(chunk);
      if (this.#unwanted > 0) offset = this.#passOver(chunk, offset);
    }
    const end = chunk.length;
    while (end - offset >= HEADER_BYTES) {
      const wanted = this.#wantedBytes(chunk, offset);
      if (wanted > end - offset) break;
      this.#deliver(chunk, offset, offset + wanted);
      offset += wanted;
      if (this.#unwanted > 0) offset = this.#passOver(chunk, offset);
    }
    if (offset < end) this.#keep(chunk, offset);
  }

  /** Returns where the next frame begins, or the end. */
  #passOver(chunk: Buffer, offset: number): number {
    const count = Math.min(this.#unwanted, chunk.length - offset);
    this.#unwanted -= count;
    return offset + count;
  }

  /** Adds to the frame under construction; returns how many bytes of the chunk that took. */
  #complete(chunk: Buffer): number {
    let offset = 0;
    if (this.#needed === HEADER_BYTES && this.#have < HEADER_BYTES) {
      offset = this.#take(chunk, 0);
      if (this.#have < HEADER_BYTES) return offset;
      this.#needed = this.#wantedBytes(this.#partial, 0);
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
    this.#needed = rest >= HEADER_BYTES ? this.#wantedBytes(chunk, offset) : HEADER_BYTES;
    this.#partial = Buffer.allocUnsafe(this.#needed);
    this.#have = 0;
    this.#take(chunk, offset);
  }

  #grow(bytes: number): void {
    const larger = Buffer.allocUnsafe(bytes);
    this.#partial.copy(larger, 0, 0, this.#have);
    this.#partial = larger;
  }

  /** The whole frame's length, type byte included; of one that is too large, what is needed to know whether it is wanted. */
  #wantedBytes(bytes: Buffer, offset: number): number {
    const length = bytes.readUInt32BE(offset + 1);
    if (length < 4 || length > 0x7fff_ffff) {
      throw new WalrelayError('PG_PROTOCOL', `a frame claims a length of ${length} bytes`);
    }
    if (bytes[offset] !== COPY_DATA && length > OTHER_BYTES_MAX) {
      throw new WalrelayError('PG_PROTOCOL', `a frame that is no row claims a length of ${length} bytes`);
    }
    this.#isLarge = bytes[offset] === COPY_DATA && length > this.#copyDataBytesMax;
    if (!this.#isLarge) return length + 1;
    const { large } = this.#handler;
    if (large === undefined) throw this.#tooLarge(length);
    return HEADER_BYTES + Math.min(large.headBytes, length - 4);
  }

  #tooLarge(length: number): WalrelayError {
    return new WalrelayError(
      'EVENT_TOO_LARGE',
      `a row of ${length} bytes is larger than the limit of ${this.#copyDataBytesMax} bytes`,
      { facts: { rowBytes: length, rowBytesMax: this.#copyDataBytesMax } },
    );
  }

  #deliver(bytes: Buffer, start: number, end: number): void {
    this.#frameCount += 1;
    if (bytes[start] !== COPY_DATA) this.#handler.other(bytes.subarray(start, end));
    else if (!this.#isLarge) this.#handler.copyData(bytes, start + HEADER_BYTES, end);
    else this.#judgeLarge(bytes, start, end);
  }

  #judgeLarge(bytes: Buffer, start: number, end: number): void {
    const length = bytes.readUInt32BE(start + 1);
    if (this.#handler.large?.isUnwanted(bytes, start + HEADER_BYTES, end) !== true)
      throw this.#tooLarge(length);
    this.#unwanted = length + 1 - (end - start);
  }
}

export interface FrameHandler {
  /** The content of one CopyData: `bytes[start, end)`, valid during the call only. */
  copyData(bytes: Buffer, start: number, end: number): void;
  /** Any other frame, whole, header included. */
  other(frame: Buffer): void;
  /** What becomes of a CopyData above the limit; without it, each is refused. */
  readonly large?: LargeFrames | undefined;
}

/** Some of what is too large may be nothing that anybody wants: it is passed over without being held. */
export interface LargeFrames {
  /** How much of its content it takes to know. */
  readonly headBytes: number;
  isUnwanted(bytes: Buffer, start: number, end: number): boolean;
}

const EMPTY = Buffer.alloc(0);
const HEADER_BYTES = 5;
/** Errors, notices and parameters are short; they must not make us hold gigabytes either. */
const OTHER_BYTES_MAX = 1024 * 1024;
const COPY_DATA = 0x64; // 'd'
