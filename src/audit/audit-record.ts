import { DIGEST_BYTES, KEY_BYTES } from './event-digest.ts';

/**
 * What the audit remembers of a row or an entry while it compares them, as bytes: there are tens of millions. The key
 * comes first, since its bytes choose the partition.
 */
export interface RowRecord {
  readonly kind: 'row';
  readonly key: Buffer;
  readonly digest: Buffer;
  /** Number of the stream that it is routed to; NO_STREAM when it can't be routed. */
  readonly stream: number;
  /** Microseconds since 1970 of the time column; null when it has none. */
  readonly timeUs: bigint | null;
  readonly xid: number;
  /** Its place in the order in which rows were read: within a transaction, mostly that of their inserts. */
  readonly ordinal: number;
  /** Whether the relay is known to have passed it: its entry must stand, or have stood, in the stream. */
  readonly isDue: boolean;
  readonly isLossy: boolean;
  readonly id: string;
}

export interface EntryRecord {
  readonly kind: 'entry';
  readonly key: Buffer;
  readonly digest: Buffer;
  readonly stream: number;
  /** As `lsn` and `seq` say; null when it has none (polled, or appended from the table). */
  readonly position: { readonly lsn: bigint; readonly seq: number } | null;
  readonly origin: EntryOrigin;
  readonly order: EntryOrder;
  readonly isLossy: boolean;
  readonly entryMs: number;
  readonly entrySeq: number;
}

export type AuditRecord = RowRecord | EntryRecord;

/**
 * relayed: by the relay · recovered: by `audit --repair` or `walrelay recover` · replayed: by `walrelay replay` · snapshot: by
 * `walrelay init --snapshot`.
 */
export type EntryOrigin = 'relayed' | 'recovered' | 'replayed' | 'snapshot' | 'redriven' | 'dead';
/** broken: behind an entry of its stream that was committed later · aggregate: even behind one of its aggregate. */
export type EntryOrder = 'kept' | 'broken' | 'aggregate';

export const NO_STREAM = 0xffff_ffff;
/** A longer id is no id: it is cut, and such an event is counted and not repaired. */
export const ID_BYTES_MAX = 4096;

const IS_ENTRY = 1;
const IS_DUE = 2;
const IS_LOSSY = 4;
const HAS_TIME = 8;
const HAS_POSITION = 8;
const ORIGIN_SHIFT = 4;
const ORDER_SHIFT = 6;
const ORIGINS: readonly EntryOrigin[] = ['relayed', 'recovered', 'replayed', 'snapshot', 'redriven', 'dead'];
/** Of an entry the highest bit of its origin: only rows are due. */
const ORIGIN_HIGH = IS_DUE;
const ORDERS: readonly EntryOrder[] = ['kept', 'broken', 'aggregate'];

const FLAGS_AT = KEY_BYTES;
const DIGEST_AT = FLAGS_AT + 1;
const STREAM_AT = DIGEST_AT + DIGEST_BYTES;
const REST_AT = STREAM_AT + 4;
const ROW_HEAD_BYTES = REST_AT + 8 + 4 + 6 + 2;
const ENTRY_BYTES = REST_AT + 8 + 6 + 6 + 4;
export const RECORD_BYTES_MAX = ROW_HEAD_BYTES + ID_BYTES_MAX;

/** Writes a record at `at` and returns where it ends. `bytes` must have room for RECORD_BYTES_MAX. */
export function writeRecord(bytes: Buffer, at: number, record: AuditRecord): number {
  record.key.copy(bytes, at);
  record.digest.copy(bytes, at + DIGEST_AT);
  bytes.writeUInt32LE(record.stream, at + STREAM_AT);
  let rest = at + REST_AT;
  if (record.kind === 'row') {
    const idBytes = bytes.write(record.id, at + ROW_HEAD_BYTES, ID_BYTES_MAX, 'utf8');
    bytes[at + FLAGS_AT] =
      (record.isDue ? IS_DUE : 0) | (record.isLossy ? IS_LOSSY : 0) | (record.timeUs === null ? 0 : HAS_TIME);
    rest = bytes.writeBigInt64LE(record.timeUs ?? 0n, rest);
    rest = bytes.writeUInt32LE(record.xid, rest);
    rest = bytes.writeUIntLE(record.ordinal, rest, 6);
    return bytes.writeUInt16LE(idBytes, rest) + idBytes;
  }
  bytes[at + FLAGS_AT] =
    IS_ENTRY |
    (record.isLossy ? IS_LOSSY : 0) |
    (record.position === null ? 0 : HAS_POSITION) |
    ((ORIGINS.indexOf(record.origin) & 3) << ORIGIN_SHIFT) |
    (ORIGINS.indexOf(record.origin) > 3 ? ORIGIN_HIGH : 0) |
    (ORDERS.indexOf(record.order) << ORDER_SHIFT);
  rest = bytes.writeBigUInt64LE(record.position?.lsn ?? 0n, rest);
  rest = bytes.writeUIntLE(record.position?.seq ?? 0, rest, 6);
  rest = bytes.writeUIntLE(record.entryMs, rest, 6);
  return bytes.writeUInt32LE(record.entrySeq, rest);
}

/** Where the record at `at` ends. */
export function recordEnd(bytes: Buffer, at: number): number {
  if (((bytes[at + FLAGS_AT] as number) & IS_ENTRY) !== 0) return at + ENTRY_BYTES;
  return at + ROW_HEAD_BYTES + bytes.readUInt16LE(at + ROW_HEAD_BYTES - 2);
}

/** Whether the bytes from `at` up to `end` hold a whole record. */
export function hasRecord(bytes: Buffer, at: number, end: number): boolean {
  if (at + FLAGS_AT >= end) return false;
  const isEntry = ((bytes[at + FLAGS_AT] as number) & IS_ENTRY) !== 0;
  if (isEntry) return at + ENTRY_BYTES <= end;
  return at + ROW_HEAD_BYTES <= end && recordEnd(bytes, at) <= end;
}

export function readRecord(bytes: Buffer, at: number): AuditRecord {
  const flags = bytes[at + FLAGS_AT] as number;
  const common = {
    key: bytes.subarray(at, at + KEY_BYTES),
    digest: bytes.subarray(at + DIGEST_AT, at + DIGEST_AT + DIGEST_BYTES),
    stream: bytes.readUInt32LE(at + STREAM_AT),
    isLossy: (flags & IS_LOSSY) !== 0,
  };
  const rest = at + REST_AT;
  if ((flags & IS_ENTRY) === 0) {
    return {
      kind: 'row',
      ...common,
      isDue: (flags & IS_DUE) !== 0,
      timeUs: (flags & HAS_TIME) === 0 ? null : bytes.readBigInt64LE(rest),
      xid: bytes.readUInt32LE(rest + 8),
      ordinal: bytes.readUIntLE(rest + 12, 6),
      id: bytes.toString('utf8', at + ROW_HEAD_BYTES, recordEnd(bytes, at)),
    };
  }
  return {
    kind: 'entry',
    ...common,
    position:
      (flags & HAS_POSITION) === 0
        ? null
        : { lsn: bytes.readBigUInt64LE(rest), seq: bytes.readUIntLE(rest + 8, 6) },
    origin: ORIGINS[((flags >> ORIGIN_SHIFT) & 3) | ((flags & ORIGIN_HIGH) === 0 ? 0 : 4)] as EntryOrigin,
    order: ORDERS[(flags >> ORDER_SHIFT) & 3] as EntryOrder,
    entryMs: bytes.readUIntLE(rest + 14, 6),
    entrySeq: bytes.readUInt32LE(rest + 20),
  };
}
