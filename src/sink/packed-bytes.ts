/**
 * A buffer that MessagePack values are written to, one behind the other. Whoever writes makes room first: `reserve` grows
 * the buffer, the put methods do not look.
 */
export class PackedBytes {
  bytes: Buffer;
  /** Where the next value goes. */
  length: number;

  constructor(bytes: Buffer, length: number) {
    this.bytes = bytes;
    this.length = length;
  }

  reserve(byteCount: number): void {
    const needed = this.length + byteCount;
    if (needed <= this.bytes.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
    this.bytes.copy(larger, 0, 0, this.length);
    this.bytes = larger;
  }

  putInt(value: number): void {
    const { bytes, length: at } = this;
    if (value >= -0x8000 && value < 0x8000) {
      bytes[at] = 0xd1; // int 16
      bytes[at + 1] = (value >> 8) & 0xff;
      bytes[at + 2] = value & 0xff;
      this.length = at + 3;
    } else {
      bytes[at] = 0xd2; // int 32
      bytes.writeInt32BE(value, at + 1);
      this.length = at + 5;
    }
  }

  putNil(): void {
    this.bytes[this.length] = 0xc0;
    this.length += 1;
  }

  putBytes(from: Buffer, start: number, length: number): void {
    const at = this.putHeader(length);
    const { bytes } = this;
    if (length < INLINE_COPY_BYTES) {
      // A call into native code costs more than copying a short value does.
      for (let index = 0; index < length; index += 1) bytes[at + index] = from[start + index] as number;
    } else {
      from.copy(bytes, at, start, start + length);
    }
    this.length = at + length;
  }

  putDecimal(value: number): void {
    const { bytes, length: at } = this;
    if (value < 10) {
      bytes[at] = 0xa1;
      bytes[at + 1] = 0x30 + value;
      this.length = at + 2;
      return;
    }
    const text = String(value);
    bytes[at] = 0xa0 | text.length;
    for (let index = 0; index < text.length; index += 1) bytes[at + 1 + index] = text.charCodeAt(index);
    this.length = at + 1 + text.length;
  }

  /** The header of a string of so many bytes, which the caller writes behind it. Returns where they go. */
  putHeader(length: number): number {
    const { bytes, length: at } = this;
    if (length < 32) {
      bytes[at] = 0xa0 | length;
      return at + 1;
    }
    if (length < 0x1_0000) {
      bytes[at] = 0xda; // str 16
      bytes[at + 1] = length >> 8;
      bytes[at + 2] = length & 0xff;
      return at + 3;
    }
    bytes[at] = 0xdb; // str 32
    bytes.writeUInt32BE(length, at + 1);
    return at + 5;
  }
}

const INLINE_COPY_BYTES = 48;
