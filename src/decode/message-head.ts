import { type Lsn, readLsn } from '../core/lsn.ts';
import type { MessageOutbox } from './message-outbox.ts';

/** What stands in front of the content of a logical message. */
export interface MessageHead {
  /** Whose events its messages are; null: nobody's here. */
  readonly outbox: MessageOutbox | null;
  readonly isTransactional: boolean;
  readonly lsn: Lsn;
  /** Where the content begins; its length stands in the four bytes before. Says nothing without an outbox. */
  readonly contentStart: number;
}

/**
 * Reads the head of a Logical Decoding Message of protocol version 1: type, flags, LSN, prefix, length, content. `end` may lie
 * in the middle of a content that is not there yet. Null: it ends too early to tell.
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */
export function findMessage(
  bytes: Buffer,
  start: number,
  end: number,
  outboxes: readonly MessageOutbox[],
): MessageHead | null {
  const prefixStart = start + PREFIX_OFFSET;
  if (prefixStart > end) return null;
  const isTransactional = ((bytes[start + 1] as number) & TRANSACTIONAL) !== 0;
  const lsn = readLsn(bytes, start + 2);
  for (const outbox of outboxes) {
    const prefixEnd = prefixStart + outbox.prefix.length;
    if (prefixEnd + AFTER_PREFIX_BYTES > end || bytes[prefixEnd] !== 0) continue;
    if (!outbox.isOwn(bytes, prefixStart, prefixEnd)) continue;
    return { outbox, isTransactional, lsn, contentStart: prefixEnd + AFTER_PREFIX_BYTES };
  }
  return { outbox: null, isTransactional, lsn, contentStart: -1 };
}

/** How much of a message `findMessage` has to see to know whose it is, whatever the length of its content. */
export function messageHeadBytes(outboxes: readonly MessageOutbox[]): number {
  return PREFIX_OFFSET + Math.max(0, ...outboxes.map(({ prefix }) => prefix.length)) + AFTER_PREFIX_BYTES;
}

const TRANSACTIONAL = 1;
/** Behind the type, the flags and the LSN. */
const PREFIX_OFFSET = 1 + 1 + 8;
/** Its zero byte, and the length of the content. */
const AFTER_PREFIX_BYTES = 1 + 4;
