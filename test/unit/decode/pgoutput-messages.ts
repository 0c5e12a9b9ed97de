/** Builds pgoutput messages, to say what no real server says. */

export const OID = 16_385;
export const NAMES = ['id', 'type', 'aggregatetype', 'aggregateid', 'payload'];

export type TupleValue = string | null | { readonly kind: string; readonly bytes?: Buffer };

export function begin(commitLsn: bigint, committedAtUs = 0n, xid = 7): Buffer {
  const bytes = Buffer.alloc(21, 'B');
  bytes.writeBigUInt64BE(commitLsn, 1);
  bytes.writeBigInt64BE(committedAtUs, 9);
  bytes.writeUInt32BE(xid, 17);
  return bytes;
}

export function commit(commitLsn: bigint, endLsn: bigint, flags = 0): Buffer {
  const bytes = Buffer.alloc(26, 'C');
  bytes[1] = flags;
  bytes.writeBigUInt64BE(commitLsn, 2);
  bytes.writeBigUInt64BE(endLsn, 10);
  bytes.writeBigInt64BE(0n, 18);
  return bytes;
}

export function relation(
  columns: readonly string[] = NAMES,
  { oid = OID, schema = 'public', table = 'outbox' } = {},
): Buffer {
  return Buffer.concat([
    Buffer.from('R'),
    uint32(oid),
    Buffer.from(`${schema}\0${table}\0d`),
    uint16(columns.length),
    ...columns.flatMap((name) => [Buffer.from(`\0${name}\0`), uint32(25), uint32(0xffff_ffff)]),
  ]);
}

export function insert(values: readonly TupleValue[], { oid = OID, kind = 'N' } = {}): Buffer {
  return Buffer.concat([Buffer.from('I'), uint32(oid), Buffer.from(kind), tuple(values)]);
}

export function tuple(values: readonly TupleValue[]): Buffer {
  const parts = values.map((value) => {
    if (value === null) return Buffer.from('n');
    if (typeof value === 'string') return text(Buffer.from(value));
    return value.bytes === undefined
      ? Buffer.from(value.kind)
      : Buffer.concat([Buffer.from(value.kind), uint32(value.bytes.length), value.bytes]);
  });
  return Buffer.concat([uint16(values.length), ...parts]);
}

function text(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from('t'), uint32(bytes.length), bytes]);
}

/** A logical message. `length`: what it says of its content. */
export function message(
  content: string,
  { prefix = 'events', flags = 1, lsn = 90n, length = Buffer.byteLength(content) } = {},
): Buffer {
  const head = Buffer.alloc(10, 'M');
  head[1] = flags;
  head.writeBigUInt64BE(lsn, 2);
  return Buffer.concat([head, Buffer.from(`${prefix}\0`), uint32(length), Buffer.from(content)]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
