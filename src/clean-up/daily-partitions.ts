import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import { quoteIdentifier, quoteQualified } from '../source/sql.ts';
import { type CleanedTable, type CleaningPlace, heldSlotSql, type TablePartition } from './cleaned-table.ts';
import type { CleaningConnection } from './cleaning-connection.ts';
import type { CleanUpNote } from './clean-up-note.ts';
import { DAY_US, partitionName } from './partition-plan.ts';
import { isConfirmedSql, isSameTableSql, isSinceSql, timeLiteral } from './row-conditions.ts';

/** Bounds are read and written in UTC, as the owner of the table. */
export function partitionSessionSql({ owner }: CleanedTable): string {
  return `SET ROLE ${quoteIdentifier(owner)}`;
}

/**
 * Makes the partition of a day. A table of its own first, then attached: that locks nobody out who reads or writes, while
 * CREATE TABLE … PARTITION OF does. (Where there is a default partition, that one is locked and looked through.)
 */
export async function createPartition(
  connection: CleaningConnection,
  table: CleanedTable,
  dayUs: number,
): Promise<string> {
  const name = quoteQualified({ schema: table.schema, name: partitionName(table.plainName, dayUs) });
  const [from, to] = [dayUs, dayUs + DAY_US].map((us) => timeLiteral(table, us));
  try {
    await connection.inTransaction(async () => {
      await connection.change(
        `CREATE TABLE ${name} (LIKE ${table.name} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING STORAGE)`,
      );
      await connection.change(
        `ALTER TABLE ${table.name} ATTACH PARTITION ${name} FOR VALUES FROM (${from}) TO (${to})`,
      );
    });
  } catch (thrown) {
    const error = toWalrelayError(thrown);
    if (error.code === 'PG_BUSY') throw error;
    throw new WalrelayError(error.code, `the partition ${name} could not be made: ${error.message}`, {
      cause: error,
      hint:
        'If the default partition holds rows of that day, the partition can be made when they are gone; a table that has its ' +
        'name already: rename or drop it.',
    });
  }
  return name;
}

export type DropOutcome = 'dropped' | 'unconfirmed rows' | 'older rows' | 'not ours';

/**
 * Drops a partition if every row in it is confirmed. In one transaction, behind a lock that keeps writers out of this
 * partition alone: no row comes between the look and the drop, and killed anywhere it has either happened or not.
 */
export async function dropPartition(
  connection: CleaningConnection,
  place: CleaningPlace,
  table: CleanedTable,
  note: CleanUpNote,
  partition: TablePartition,
): Promise<DropOutcome> {
  return await connection.inTransaction(async () => {
    await connection.change(`LOCK TABLE ${partition.name} IN SHARE MODE`);
    const [row] = await connection.rows(holdsSql(place, table, note, partition));
    const [isOurs, isConfirmed, isSince] = (row ?? []).map((value) => value === 't');
    if (isOurs !== true) return 'not ours';
    if (isConfirmed !== true) return 'unconfirmed rows';
    if (isSince !== true) return 'older rows';
    await connection.change(`DROP TABLE ${partition.name}`);
    return 'dropped';
  });
}

function holdsSql(
  place: CleaningPlace,
  table: CleanedTable,
  note: CleanUpNote,
  partition: TablePartition,
): string {
  const since =
    place.settings.cleanupOlderRows === 'delete' ? 'true' : (isSinceSql('o', table, note) ?? 'false');
  const none = (condition: string) =>
    `NOT EXISTS (SELECT FROM ${partition.name} o WHERE (${condition}) IS NOT TRUE)`;
  const isOurs =
    `EXISTS (SELECT FROM slot) AND ${isSameTableSql(table)} AND ${isSameTableSql({ ...table, ...partition })} ` +
    `AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = ${partition.oid} AND i.inhparent = ${table.oid})`;
  return `WITH slot AS MATERIALIZED (${heldSlotSql(place)})
SELECT ${isOurs}, ${none(isConfirmedSql('o', 'slot'))}, ${none(since)}`;
}
