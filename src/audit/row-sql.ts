import { idSql } from '../source/row-values.ts';
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

/** In front of what a row says: its xmin and its time in microseconds since 1970. */
export const ROW_PREFIX_COLUMNS = 2;

/**
 * The rows of a slice: what they say (see CONTENT), then the columns by which they are routed. The payload stays where it
 * is: only its SHA-256 travels.
 */
export function sliceSql(table: AuditedTable, range: TimeRange, slice: RowSlice): string {
  return [
    `SELECT ${['xmin', timeUsSql(table), ...contentSql(table), ...routingSql(table)].join(', ')}`,
    `FROM ${table.name}`,
    `WHERE ${conditions(table, range, slice).join(' AND ')}`,
  ].join('\n');
}

/** What a row says, as its entry should: id, type, aggregate type, aggregate id, and the SHA-256 of payload and headers. */
export function contentSql(table: AuditedTable): string[] {
  const { mapping } = table.outbox;
  const plain = (column: string | null) => (column === null ? 'NULL' : quoteIdentifier(column));
  return [
    idSql(mapping.columnId),
    plain(mapping.columnType),
    plain(mapping.columnAggregateType),
    plain(mapping.columnAggregateId),
    mapping.columnPayload === null ? 'NULL' : sha256Sql(table, mapping.columnPayload),
    ...Object.values(mapping.fields).map((column) => sha256Sql(table, column)),
  ];
}

/** How many values that are. */
export function contentColumns(table: AuditedTable): number {
  return 5 + table.outbox.slots.headers.length;
}

/** A value for each slot: NULL for those that say nothing about the stream. */
export function routingSql({ outbox }: AuditedTable): string[] {
  return outbox.columns.map((column, slot) =>
    outbox.routingSlots.includes(slot) ? quoteIdentifier(column) : 'NULL',
  );
}

/** `format` writes a value as its output function does, which is what the relay was sent. */
function sha256Sql({ outbox, isBytea }: AuditedTable, column: string): string {
  const name = quoteIdentifier(column);
  const isBytes = isBytea(column) && outbox.binarySlots.includes(outbox.columns.indexOf(column));
  const bytes = isBytes ? name : `textsend(format('%s', ${name}))`;
  return `CASE WHEN ${name} IS NOT NULL THEN encode(sha256(${bytes}), 'hex') END`;
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
