import { quoteIdentifier } from '../source/sql.ts';
import type { AuditedTable } from './audited-table.ts';

/** Which rows are audited, by the time column: from the first (included) to the second (excluded). */
export interface TimeRange {
  readonly fromUs: bigint | null;
  readonly toUs: bigint | null;
}

/** A part of the table that is read in one go: by time where there is an index, else by pages. */
export type RowSlice =
  | { readonly by: 'time'; readonly fromUs: bigint; readonly toUs: bigint }
  | { readonly by: 'page'; readonly from: number; readonly to: number };

/** In front of the columns of a row: its xmin and its time in microseconds since 1970. */
export const ROW_PREFIX_COLUMNS = 2;

/**
 * The rows of a slice. The payload stays where it is: only its SHA-256 travels. `format` writes a value as its output
 * function does, which is what the relay was sent.
 */
export function sliceSql(table: AuditedTable, range: TimeRange, slice: RowSlice): string {
  const payload = `format('%s', ${quoteIdentifier(table.columns.names[PAYLOAD_SLOT] as string)})`;
  const columns = table.columns.names.map((name, slot) =>
    slot === PAYLOAD_SLOT
      ? `CASE WHEN ${quoteIdentifier(name)} IS NOT NULL THEN encode(sha256(textsend(${payload})), 'hex') END`
      : quoteIdentifier(name),
  );
  return [
    `SELECT ${['xmin', timeUsSql(table), ...columns].join(', ')}`,
    `FROM ${table.name}`,
    `WHERE ${conditions(table, range, slice).join(' AND ')}`,
  ].join('\n');
}

/** The first and the last time there is in the range, in microseconds; by the index. */
export function timeLimitsSql(table: AuditedTable, range: TimeRange): string {
  const column = quoteIdentifier(table.timeColumn ?? '');
  const where = ['true', ...rangeConditions(table, range)].join(' AND ');
  const edge = (function_: string) =>
    `(SELECT ${microseconds(`${function_}(${column})::timestamptz`)} FROM ${table.name} WHERE isfinite(${column}) AND ${where})`;
  return `SELECT ${edge('min')}, ${edge('max')}`;
}

/** Microseconds since 1970 of the time column; NULL without one. */
export function timeUsSql(table: AuditedTable): string {
  if (table.timeColumn === null) return 'NULL';
  const column = quoteIdentifier(table.timeColumn);
  return `CASE WHEN isfinite(${column}) THEN ${microseconds(`${column}::timestamptz`)} END`;
}

/** The payload's place among an event's columns. */
export const PAYLOAD_SLOT = 4;

function conditions(table: AuditedTable, range: TimeRange, slice: RowSlice): string[] {
  if (slice.by === 'time') return rangeConditions(table, slice);
  return [
    `ctid >= '(${slice.from},0)'::tid AND ctid < '(${slice.to},0)'::tid`,
    ...rangeConditions(table, range),
  ];
}

export function rangeConditions(table: AuditedTable, range: TimeRange): string[] {
  if (table.timeColumn === null) return [];
  const column = quoteIdentifier(table.timeColumn);
  return [
    ...(range.fromUs === null ? [] : [`${column} >= ${timeLiteral(table, range.fromUs)}`]),
    ...(range.toUs === null ? [] : [`${column} < ${timeLiteral(table, range.toUs)}`]),
  ];
}

/** Of the column's own type: compared with another one, its index would not be used. */
function timeLiteral(table: AuditedTable, us: bigint): string {
  return `(to_timestamp(0) + interval '${us} microseconds')::${table.timeType}`;
}

function microseconds(timestamptz: string): string {
  return `(extract(epoch FROM ${timestamptz}) * 1000000)::bigint`;
}
