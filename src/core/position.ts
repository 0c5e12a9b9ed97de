import { formatLsn, type Lsn, lsnFromHex, lsnToHex, ZERO_LSN } from './lsn.ts';

/**
 * Where an event stands in the history of the outbox: the commit LSN of its transaction (from Begin) and its
 * ordinal among the captured events of that transaction, from 0. Identical on every decode of the same WAL.
 */
export interface Position {
  readonly commitLsn: Lsn;
  readonly ordinal: number;
}

/** Before every event there ever was. */
export const ORIGIN: Position = { commitLsn: ZERO_LSN, ordinal: 0 };

/**
 * 16 hex digits of commit LSN, 12 of ordinal, far above what one Postgres transaction can hold: a fixed width, which the
 * scripts in Redis compare.
 */
export function positionToHex(position: Position): string {
  const ordinal = position.ordinal.toString(16).toUpperCase().padStart(12, '0');
  return lsnToHex(position.commitLsn) + ordinal;
}

export function positionFromHex(hex: string): Position {
  if (!/^[0-9A-F]{28}$/.test(hex)) throw new RangeError(`not a position: ${JSON.stringify(hex)}`);
  return { commitLsn: lsnFromHex(hex.slice(0, 16)), ordinal: Number.parseInt(hex.slice(16), 16) };
}

export function comparePositions(a: Position, b: Position): number {
  if (a.commitLsn !== b.commitLsn) return a.commitLsn < b.commitLsn ? -1 : 1;
  return a.ordinal - b.ordinal;
}

/** For people: `0/1A2B3C4D #5`. */
export function formatPosition(position: Position): string {
  return `${formatLsn(position.commitLsn)} #${position.ordinal}`;
}
