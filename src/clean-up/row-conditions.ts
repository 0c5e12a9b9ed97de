import { quoteIdentifier, quoteLiteral } from '../source/sql.ts';
import type { CleanedTable } from './cleaned-table.ts';
import { isWithinReach, rowXid } from './clean-up-note.ts';
import type { CleanUpNote } from './clean-up-note.ts';

/**
 * What is true of a row that Redis has for certain, in the words of SQL. A row doesn't know its commit LSN, only its
 * transaction; transactions before the slot's catalog_xmin had ended before the slot's confirmed position. The slot is read
 * in the same statement: when this session no longer holds it, there is no such row.
 *
 * age() counts back from the next transaction, in 32 bits: rows that Postgres itself wrote count as the oldest, rows more
 * than two billion transactions old as yet to come, and so they stay.
 */
export function isConfirmedSql(row: string, slot: string): string {
  return `age(${row}.xmin) > (SELECT age(catalog_xmin) FROM ${slot})`;
}

/**
 * That a row was inserted after the clean-up had begun to look, when the slot was there and the publication right. Null:
 * nothing can tell, since too many transactions have passed and the table has no time.
 */
export function isSinceSql(row: string, table: CleanedTable, note: CleanUpNote): string | null {
  const { xid, atMs } = note.since;
  const conditions: string[] = [];
  if (isWithinReach(xid, table.nextXid)) conditions.push(`age(${row}.xmin) <= age('${rowXid(xid)}'::xid)`);
  if (table.timeColumn !== null) {
    conditions.push(`${row}.${quoteIdentifier(table.timeColumn)} >= ${timeLiteral(table, atMs * 1000)}`);
  }
  return conditions.length === 0 ? null : conditions.join(' AND ');
}

/** Of the column's own type: compared with another one, its index would not be used. */
export function timeLiteral(table: CleanedTable, us: number): string {
  return `(to_timestamp(0) + interval '${Math.floor(us)} microseconds')::${table.timeType}`;
}

/** That the name still means the table whose rows are relayed: with another one in its place nothing is done. */
export function isSameTableSql({ name, oid }: CleanedTable): string {
  return `${quoteLiteral(name)}::regclass = ${oid}::oid`;
}
