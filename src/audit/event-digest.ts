import { createHash } from 'node:crypto';

/**
 * An event in 24 bytes: a key of its id, by which rows and entries meet, and a digest of what it says. Neither is a
 * secret, only short: two different ids in 2^64 share a key.
 */
export const KEY_BYTES = 16;
export const DIGEST_BYTES = 8;

/** What an event says beside its id, in the order of the entry's fields. The payload goes in by its SHA-256 (hex). */
export interface EventContent {
  readonly type: string | null;
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  readonly payloadSha256: string | null;
  /** Of the fields that the mapping adds, in its order. */
  readonly headersSha256: readonly (string | null)[];
}

export function keyOf(id: string): Buffer {
  return createHash('sha256').update(id).digest().subarray(0, KEY_BYTES);
}

/** NULL and the empty text are two things; so are values that only join to the same text. */
export function digestOf(content: EventContent): Buffer {
  const { type, aggregateType, aggregateId, payloadSha256, headersSha256 } = content;
  const parts = [type, aggregateType, aggregateId, payloadSha256, ...headersSha256].map((value) =>
    value === null ? '-' : `${value.length}:${value}`,
  );
  return createHash('sha256').update(parts.join('')).digest().subarray(0, DIGEST_BYTES);
}

export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * Whether a text may stand for other bytes: a database without an encoding (SQL_ASCII) holds anything, and what is no
 * UTF-8 was replaced on the way here.
 */
export function isLossy(text: string | null): boolean {
  return text?.includes('\uFFFD') === true;
}
