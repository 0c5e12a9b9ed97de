/** A MessagePack reader of its own, after https://github.com/msgpack/msgpack/blob/master/spec.md */
export type Unpacked = Buffer | number | null | Unpacked[];

export function unpack(bytes: Buffer): Unpacked {
  let at = 0;
  const take = (count: number): Buffer => {
    if (at + count > bytes.length) throw new RangeError(`wanted ${count} bytes at ${at} of ${bytes.length}`);
    at += count;
    return bytes.subarray(at - count, at);
  };
  const array = (count: number): Unpacked[] => Array.from({ length: count }, read);
  function read(): Unpacked {
    const kind = take(1).readUInt8();
    if (kind <= 0x7f) return kind;
    if (kind >= 0xe0) return kind - 256;
    if (kind >= 0xa0 && kind <= 0xbf) return take(kind & 0x1f);
    if (kind >= 0x90 && kind <= 0x9f) return array(kind & 0x0f);
    switch (kind) {
      case 0xc0:
        return null;
      case 0xd0:
        return take(1).readInt8();
      case 0xd1:
        return take(2).readInt16BE();
      case 0xd2:
        return take(4).readInt32BE();
      case 0xd9:
        return take(take(1).readUInt8());
      case 0xda:
        return take(take(2).readUInt16BE());
      case 0xdb:
        return take(take(4).readUInt32BE());
      case 0xdc:
        return array(take(2).readUInt16BE());
      case 0xdd:
        return array(take(4).readUInt32BE());
      default:
        throw new RangeError(`kind 0x${kind.toString(16)}`);
    }
  }
  const value = read();
  if (at !== bytes.length) throw new RangeError(`${bytes.length - at} bytes left over`);
  return value;
}
