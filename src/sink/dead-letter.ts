import { taggedKey } from '../core/own-keys.ts';
import { hashTag } from './hash-slot.ts';
import { PackedBytes } from './packed-bytes.ts';

/**
 * What an entry of a dead-letter stream looks like: why the event could not pass and where it stood, then each column that
 * the relay reads of it, byte for byte, so that it can be routed anew. A column that is NULL has no field and stands in
 * `nulls`, a JSON list. `kinds`, a JSON object, names those that are no text: json, or bytes of a bytea.
 */
export const DEAD_LETTER_FIELDS = {
  reason: 'reason',
  message: 'message',
  outbox: 'outbox',
  table: 'table',
  /** Instead of the table, where the outbox has none. */
  messagePrefix: 'message_prefix',
  /** The event's id; absent where it has none. */
  id: 'id',
  /** Where it should have gone; absent where nobody knows. */
  stream: 'stream',
  lsn: 'lsn',
  seq: 'seq',
  committedAt: 'committed_at',
  nulls: 'nulls',
  kinds: 'kinds',
  /** Instead of the columns: a message that can't be read, as it came. */
  content: 'content',
} as const;

/** In front of a column's name. */
export const DEAD_LETTER_COLUMN = 'column:';

/** A range of bytes, or a text. */
export type LetterValue =
  | string
  | { readonly bytes: Buffer; readonly start: number; readonly length: number };

/**
 * The key of the stream that the dead letters of a stream's events go to: on a cluster one in the lane of each, so that one
 * watermark covers both, and an event is in one of them and never in two. `intended`: null for an event without a stream.
 */
export function deadLetterStreamOf(base: string, intended: string | null, isCluster: boolean): string {
  return intended === null || !isCluster ? base : taggedKey(base, hashTag(intended));
}

/** Names and values, packed as the one value of a loose shape. */
export function packLetter(fields: readonly (readonly [name: string, value: LetterValue])[]): Buffer {
  const texts = fields.map(([name, value]) => ({
    name: Buffer.from(name),
    value: typeof value === 'string' ? Buffer.from(value) : value,
  }));
  const packed = new PackedBytes(Buffer.allocUnsafeSlow(1024), 0);
  packed.reserve(HEADER_BYTES);
  packed.bytes[0] = 0xdd; // array 32
  packed.bytes.writeUInt32BE(2 * fields.length, 1);
  packed.length = HEADER_BYTES;
  for (const { name, value } of texts) {
    packed.reserve(name.length + value.length + 2 * HEADER_BYTES);
    packed.putBytes(name, 0, name.length);
    if (Buffer.isBuffer(value)) packed.putBytes(value, 0, value.length);
    else packed.putBytes(value.bytes, value.start, value.length);
  }
  return packed.bytes.subarray(0, packed.length);
}

const HEADER_BYTES = 5;
