import { WalrelayError } from '../core/walrelay-error.ts';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteQualified } from './sql.ts';
import type { SnapshotReader } from './snapshot-reader.ts';

/**
 * The order in which rows were inserted, as well as a query can tell it, and the statements that read a table in it. The
 * commit order is in the WAL alone.
 */
export interface RowOrder {
  readonly column: string;
  /** Whether the column says when the row was made, on a clock that commit times can be compared with. */
  readonly isTime: boolean;
}

/** Throws COLUMN_MISSING or COLUMN_UNSUITABLE when rows can't be ordered by the column. */
export async function findRowOrder(
  reader: SnapshotReader,
  table: QualifiedName,
  column: string,
): Promise<RowOrder> {
  const [found] = await reader.query(`SELECT format_type(a.atttypid, NULL) FROM pg_attribute a
    WHERE a.attrelid = ${quoteLiteral(quoteQualified(table))}::regclass AND a.attname = ${quoteLiteral(column)}
      AND a.attnum > 0 AND NOT a.attisdropped`);
  const hint = 'Name a column that grows with time: --order-by, or WALRELAY_POLL_ORDER_COLUMN.';
  if (found === undefined) {
    const message = `the table ${quoteQualified(table)} has no column ${quoteIdentifier(column)} to order its rows by`;
    throw new WalrelayError('COLUMN_MISSING', message, { hint });
  }
  return { column, isTime: found[0] === 'timestamp with time zone' };
}

export interface RowRange {
  /** Only rows whose order column is not less: a literal of its type. Null: all rows. */
  readonly from: string | null;
  /** Whether rows with a NULL there belong to the range: they come last. */
  readonly withNulls: boolean;
  /** A condition of SQL that every row of the range fulfils, as an operator gave it. Null: none. */
  readonly where: string | null;
}

/**
 * Reads values (expressions) of all rows of the range in their order. One transaction's rows mostly share their `now()`, and a full
 * page may send a later row in front of an earlier one: so the commands of a transaction come in their order, then the
 * rows by their places. The order is total: read twice in one snapshot, rows come in the same order.
 */
export function orderedRowsSql(
  table: QualifiedName,
  order: RowOrder,
  options: { readonly values: readonly string[]; readonly range: RowRange },
): string {
  const key = quoteIdentifier(order.column);
  const { range, values } = options;
  const made = order.isTime
    ? `CASE WHEN isfinite(${key}) THEN (extract(epoch FROM ${key}) * 1000000)::bigint END`
    : 'NULL';
  return [
    `SELECT ${[key, made, ...values].join(', ')}`,
    `FROM ${quoteQualified(table)}`,
    ...rangeSql(order, range),
    `ORDER BY ${key}, age(xmin) DESC, cmin::text::bigint, tableoid, ctid`,
  ].join('\n');
}

/** The WHERE clause of a range; empty for all rows. */
export function rangeSql(order: Pick<RowOrder, 'column'>, range: RowRange): string[] {
  const key = quoteIdentifier(order.column);
  const from = range.from === null ? null : `${key} >= ${quoteLiteral(range.from)}`;
  const conditions = [
    ...(from === null ? [] : [range.withNulls ? `(${from} OR ${key} IS NULL)` : from]),
    // On lines of its own: it may end in a comment.
    ...(range.where === null ? [] : [`(\n${range.where}\n)`]),
  ];
  return conditions.length === 0 ? [] : [`WHERE ${conditions.join(' AND ')}`];
}

/** In front of a row's values: its order column as text, and when it was made. */
export const ORDER_VALUES = 2;
