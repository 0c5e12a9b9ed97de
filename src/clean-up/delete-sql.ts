import type { OutboxSettings } from '../config/settings.ts';
import { nameSetting } from '../core/name-setting.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { quoteIdentifier } from '../source/sql.ts';
import { type CleanedTable, type CleaningPlace, heldSlotSql } from './cleaned-table.ts';
import { isWithinReach, rowXid, type CleanUpNote } from './clean-up-note.ts';
import { isConfirmedSql, isSameTableSql, isSinceSql, timeLiteral } from './row-conditions.ts';

/**
 * Deletes one batch of confirmed rows that are past the retention; null when no row can be yet. Rows that somebody holds
 * are left for later, and of a row that was changed in between Postgres asks all the conditions again.
 *
 * `partition`: only rows of this one, quoted and qualified.
 */
export function deleteBatchSql(
  place: CleaningPlace,
  table: CleanedTable,
  note: CleanUpNote,
  partition?: string,
): string | null {
  const { settings, outbox } = place;
  const ripe = ripeSql(table, note, outbox);
  if (ripe === null || table.confirmedXid === null) return null;
  const since = settings.cleanupOlderRows === 'delete' ? 'true' : isSinceSql('o', table, note);
  if (since === null) throw tooLongAgo(table, outbox);
  // Tables that inherit from it are none of ours; partitions are.
  const from = partition ?? (table.isPartitioned ? table.name : `ONLY ${table.name}`);
  const order =
    table.timeColumn !== null && table.hasTimeIndex ? `ORDER BY o.${quoteIdentifier(table.timeColumn)} ` : '';
  return `
WITH slot AS MATERIALIZED (${heldSlotSql(place)} AND ${isSameTableSql(table)}),
due AS MATERIALIZED (
  SELECT o.ctid AS place, o.tableoid AS leaf FROM ${from} o
  WHERE ${ripe} AND ${isConfirmedSql('o', 'slot')} AND ${since}
  ${order}LIMIT ${settings.cleanupBatchRowsMax} FOR UPDATE OF o SKIP LOCKED
)
DELETE FROM ${from} o USING due WHERE o.ctid = due.place AND o.tableoid = due.leaf`;
}

/** Older than the retention: by the row's own time, or by when the slot had passed its transaction. */
function ripeSql(table: CleanedTable, note: CleanUpNote, outbox: OutboxSettings): string | null {
  const retentionMs = outbox.cleanupRetentionMs;
  if (table.timeColumn !== null) {
    return `o.${quoteIdentifier(table.timeColumn)} < ${timeLiteral(table, table.nowUs - retentionMs * 1000)}`;
  }
  // As the note has it, in whole milliseconds: without a retention, the horizon of this very look is ripe.
  const xid = note.ripe(Math.ceil(table.nowUs / 1000), retentionMs);
  if (xid === null) return null;
  if (!isWithinReach(xid, table.nextXid)) throw tooLongAgo(table, outbox);
  return `age(o.xmin) > age('${rowXid(xid)}'::xid)`;
}

function tooLongAgo({ name }: CleanedTable, outbox: OutboxSettings): WalrelayError {
  return new WalrelayError(
    'COLUMN_UNSUITABLE',
    `more than two billion transactions have passed, and ${name} has no time column: which of its rows are old enough can't be told`,
    {
      hint:
        `Give the table one (ADD COLUMN created_at timestamptz DEFAULT now()) and name it with ${nameSetting(outbox, 'columnTime')}; or set a shorter ` +
        `${nameSetting(outbox, 'cleanupRetentionMs')}, and WALRELAY_CLEANUP_OLDER_ROWS=delete once no row is left that was never relayed.`,
    },
  );
}
