import { type RowValues, rowValues } from '../source/row-values.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../source/sql.ts';
import type { PolledTable } from './polled-table.ts';

/** What the statements depend on beside the settings; known once the catalog was read. */
export interface ClaimFacts {
  /** No two rows are equal in the order column, so it needs no tie-break. */
  readonly isOrderUnique: boolean;
  /** Rows of partitions share their ctids, so that a row is named by its partition too. */
  readonly isPartitioned: boolean;
  /** The database says nothing about its bytes (SQL_ASCII): values travel as hex. */
  readonly isRaw: boolean;
  /** Of the table's columns, by their names. */
  readonly columnTypes: ReadonlyMap<string, string>;
  /** Only one claim at a time, whoever makes it: the order of a stream survives a second process. */
  readonly isExclusive: boolean;
}

/** How the values of a row are read. */
export function valuesOf(table: PolledTable, { isRaw, columnTypes }: ClaimFacts): RowValues {
  return rowValues(table.outbox, { isRaw, typeOf: (column) => columnTypes.get(column) });
}

/** In front of a claimed row's values: its ctid, and its partition where there are some. */
export function placeCount(facts: ClaimFacts): number {
  return facts.isPartitioned ? 2 : 1;
}

/**
 * Claims the next rows. No parameters, so that it is planned once; the limit is a literal, since the planner takes a
 * parameter for a tenth of the table. No lower bound on the order column either: a value that was drawn early and
 * committed late would be passed by, and then come behind events that followed it.
 *
 * Values go out as their types' output functions write them, which is what a slot would send. Rows equal in the order
 * column (one transaction's `now()`) come in the order of their places, mostly that of their inserts.
 */
export function claimSql(table: PolledTable, facts: ClaimFacts, limit: number): string {
  const places = facts.isPartitioned ? ['ctid', 'tableoid'] : ['ctid'];
  const values = valuesOf(table, facts).sql;
  const conditions = [
    ...(table.markColumn === null ? [] : [`${quoteIdentifier(table.markColumn)} IS NULL`]),
    // As a subquery it is asked once, before the first row. Who doesn't get the lock gets no rows.
    ...(facts.isExclusive ? [`(SELECT pg_try_advisory_xact_lock(${lockKey(table)}))`] : []),
  ];
  const order = [quoteIdentifier(table.orderColumn), ...(facts.isOrderUnique ? [] : places.toReversed())];
  return [
    `SELECT ${[...places, ...values].join(', ')}`,
    `FROM ${quoteQualified(table.name)}`,
    ...(conditions.length === 0 ? [] : [`WHERE ${conditions.join(' AND ')}`]),
    `ORDER BY ${order.join(', ')}`,
    `LIMIT ${limit}`,
    // Marking changes no key: rows of other tables may go on referring to the row.
    table.markColumn === null ? 'FOR UPDATE SKIP LOCKED' : 'FOR NO KEY UPDATE SKIP LOCKED',
  ].join('\n');
}

/**
 * Deletes or marks published rows. They are locked, so their ctids are still theirs: Postgres goes straight to them and
 * needs no index. $1: the ctids, $2: their partitions, where there are some.
 */
export function settleSql(table: PolledTable, facts: ClaimFacts): string {
  const name = quoteQualified(table.name);
  const set = table.markColumn === null ? '' : ` SET ${quoteIdentifier(table.markColumn)} = now()`;
  if (!facts.isPartitioned) {
    const where = 'WHERE ctid = ANY ($1::tid[])';
    return table.markColumn === null ? `DELETE FROM ${name} ${where}` : `UPDATE ${name}${set} ${where}`;
  }
  const places = 'unnest($1::tid[], $2::oid[]) AS place (row_id, partition)';
  const where = 'WHERE rows.ctid = place.row_id AND rows.tableoid = place.partition';
  return table.markColumn === null
    ? `DELETE FROM ${name} AS rows USING ${places} ${where}`
    : `UPDATE ${name} AS rows${set} FROM ${places} ${where}`;
}

/**
 * How a polling session behaves. The table is mostly empty and now and then full: a plan that was made while it was empty
 * reads and sorts all of it, so the planner is kept to the index. A process that freezes in the middle of a claim is
 * disconnected by the server, so that its rows become free. What the relay no longer waits for, the server ends, too.
 */
export function sessionSql(options: {
  readonly isRaw: boolean;
  readonly statementTimeoutMs: number;
  readonly idleInTransactionMs: number;
  readonly listenChannel: string | null;
}): string {
  return [
    'SET enable_seqscan = off',
    'SET enable_bitmapscan = off',
    'SET enable_sort = off',
    "SET bytea_output = 'hex'",
    `SET statement_timeout = ${options.statementTimeoutMs}`,
    `SET idle_in_transaction_session_timeout = ${options.idleInTransactionMs}`,
    ...(options.isRaw ? ["SET client_encoding TO 'SQL_ASCII'"] : []),
    ...(options.listenChannel === null ? [] : [`LISTEN ${quoteIdentifier(options.listenChannel)}`]),
  ].join(';\n');
}

/** An array literal of what needs no escapes: ctids, OIDs. */
export function textArray(values: readonly string[]): string {
  return values.length === 0 ? '{}' : `{"${values.join('","')}"}`;
}

function lockKey(table: PolledTable): string {
  return `hashtext('walrelay poll'), hashtext(${quoteLiteral(quoteQualified(table.name))})`;
}
