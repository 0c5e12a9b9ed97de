import type { Piece, ValueKinds, WalFact } from '../core/entry-shape.ts';
import type { TransactionStamp } from './transaction-stamp.ts';

/** The event whose values are put together: ranges of bytes by slot, and its position where it has one. */
export interface ComposedEvent {
  readonly bytes: Buffer;
  readonly starts: Int32Array;
  /** −1 for NULL. */
  readonly lengths: Int32Array;
  /** By slot; text where it says nothing. */
  readonly kinds: ValueKinds;
  readonly transaction: TransactionStamp | null;
  readonly ordinal: number;
}

/**
 * How many bytes the pieces make together; −1 when one of them has no value, and so all of them have none. Measured
 * before anything is written: a packed value says its length first.
 */
export function measurePieces(pieces: readonly Piece[], event: ComposedEvent): number {
  let total = 0;
  for (const piece of pieces) {
    const length = measurePiece(piece, event);
    if (length < 0) return -1;
    total += length;
  }
  return total;
}

/** Writes what was measured, and returns where it ends. */
export function writePieces(
  into: Buffer,
  at: number,
  pieces: readonly Piece[],
  event: ComposedEvent,
): number {
  let end = at;
  for (const piece of pieces) end = writePiece(into, end, piece, event);
  return end;
}

function measurePiece(piece: Piece, event: ComposedEvent): number {
  if ('text' in piece) return Buffer.byteLength(piece.text);
  if ('fact' in piece) return factOf(piece.fact, event)?.length ?? -1;
  if ('if' in piece || 'kindOf' in piece) return measurePieces(branchOf(piece, event), event);
  const length = event.lengths[piece.slot] as number;
  if (length < 0) return -1;
  switch (piece.as) {
    case 'raw':
      return length;
    case 'base64':
      return Math.ceil(length / 3) * 4;
    case 'json':
      return measureJson(event.bytes, event.starts[piece.slot] as number, length);
  }
}

function writePiece(into: Buffer, at: number, piece: Piece, event: ComposedEvent): number {
  if ('text' in piece) return at + into.write(piece.text, at);
  if ('fact' in piece) return at + into.write(factOf(piece.fact, event) ?? '', at, 'latin1');
  if ('if' in piece || 'kindOf' in piece) return writePieces(into, at, branchOf(piece, event), event);
  const start = event.starts[piece.slot] as number;
  const length = event.lengths[piece.slot] as number;
  switch (piece.as) {
    case 'raw':
      event.bytes.copy(into, at, start, start + length);
      return at + length;
    case 'base64':
      return at + into.write(event.bytes.toString('base64', start, start + length), at, 'latin1');
    case 'json':
      return writeJson(into, at, event.bytes, start, length);
  }
}

function branchOf(
  piece: Extract<Piece, { if: unknown } | { kindOf: unknown }>,
  event: ComposedEvent,
): readonly Piece[] {
  if ('kindOf' in piece) return piece.kinds[event.kinds[piece.kindOf] ?? 'text'];
  const isThere =
    typeof piece.if === 'number' ? (event.lengths[piece.if] as number) >= 0 : event.transaction !== null;
  return isThere ? piece.pieces : piece.otherwise;
}

function factOf(fact: WalFact, { transaction, ordinal }: ComposedEvent): string | null {
  if (transaction === null) return null;
  switch (fact) {
    case 'lsn':
      return transaction.lsnText.toString('latin1', 0, transaction.lsnLength);
    case 'seq':
      return String(ordinal);
    case 'committedAt':
      return transaction.committedAtText.toString('latin1');
  }
}

/** The inside of a JSON string: quotes, backslashes and controls are escaped, everything else stays as its bytes. */
function measureJson(bytes: Buffer, start: number, length: number): number {
  let total = length;
  for (let index = start; index < start + length; index += 1) {
    const byte = bytes[index] as number;
    if (byte === QUOTE || byte === BACKSLASH) total += 1;
    else if (byte < 0x20) total += SHORT_ESCAPES[byte] === undefined ? 5 : 1;
  }
  return total;
}

function writeJson(into: Buffer, at: number, bytes: Buffer, start: number, length: number): number {
  let end = at;
  for (let index = start; index < start + length; index += 1) {
    const byte = bytes[index] as number;
    if (byte === QUOTE || byte === BACKSLASH) {
      into[end] = BACKSLASH;
      into[end + 1] = byte;
      end += 2;
    } else if (byte < 0x20) {
      const escape = SHORT_ESCAPES[byte] ?? `\\u${byte.toString(16).padStart(4, '0')}`;
      end += into.write(escape, end, 'latin1');
    } else {
      into[end] = byte;
      end += 1;
    }
  }
  return end;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SHORT_ESCAPES: Readonly<Record<number, string>> = {
  8: '\\b',
  9: '\\t',
  10: '\\n',
  12: '\\f',
  13: '\\r',
};
