import { WalrelayError } from '../core/walrelay-error.ts';
import type { RelayTable } from '../relay/relay-shape.ts';
import { requireIds } from '../route/outbox.ts';
import { findRowOrder, rangeSql } from '../source/row-order.ts';
import { rowValues } from '../source/row-values.ts';
import type { SnapshotReader } from '../source/snapshot-reader.ts';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteQualified } from '../source/sql.ts';
import { rangeFrom, type RowSource } from './missing-rows.ts';

export interface RowSelection {
  readonly orderColumn: string;
  /** A literal of the order column: only rows from there on. */
  readonly since: string | null;
  /** A condition of SQL: only rows that fulfil it. */
  readonly where: string | null;
}

/**
 * Whether the rows can be read, in their order: what must not fail later, when something has been changed. `what`: who reads
 * the table, the beginning of a sentence.
 */
export async function checkReadable(
  { settings, outbox }: Pick<RelayTable, 'settings' | 'outbox'>,
  reader: SnapshotReader,
  selection: RowSelection,
  { what, isRaw }: { readonly what: string; readonly isRaw: boolean },
): Promise<RowSource> {
  requireIds(outbox);
  const table = quoteQualified(settings.table);
  try {
    const list = outbox.columns.map(quoteIdentifier).join(', ');
    await reader.query(`SELECT ${list} FROM ${table} LIMIT 0`);
    const order = await findRowOrder(reader, settings.table, selection.orderColumn);
    await checkOption(reader, table, { ...selection, where: null }, '--since', selection.since);
    await checkOption(reader, table, { ...selection, since: null }, '--where', selection.where);
    const types = await columnTypes(settings.table, reader);
    return {
      reader,
      table: settings.table,
      outbox,
      values: rowValues(outbox, { isRaw, typeOf: (column) => types.get(column) }),
      order,
      since: selection.since,
      where: selection.where,
      isRaw,
    };
  } catch (error) {
    if (!(error instanceof WalrelayError) || error.code !== 'PG_PRIVILEGE') throw error;
    const schema = quoteIdentifier(settings.table.schema);
    throw new WalrelayError('PG_PRIVILEGE', error.message, {
      cause: error,
      hint:
        `${what} reads the table, which a relay does not: GRANT USAGE ON SCHEMA ${schema} TO …; ` +
        `GRANT SELECT ON ${table} TO …; (with row security: a role that it does not apply to).`,
    });
  }
}

async function columnTypes(
  table: QualifiedName,
  reader: SnapshotReader,
): Promise<ReadonlyMap<string, string>> {
  const rows = await reader.query(`SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = ${quoteLiteral(quoteQualified(table))}::regclass AND attnum > 0 AND NOT attisdropped`);
  return new Map(rows.map(([name, type]) => [name ?? '', type ?? '']));
}

async function checkOption(
  reader: SnapshotReader,
  table: string,
  selection: RowSelection,
  option: string,
  given: string | null,
): Promise<void> {
  if (given === null) return;
  const [where] = rangeSql({ column: selection.orderColumn }, rangeFrom(selection.since, selection));
  try {
    // Prepared, so that it can't be more than one statement.
    await reader.prepared(`SELECT 1 FROM ${table} ${where} LIMIT 0`);
  } catch (error) {
    if (!(error instanceof WalrelayError) || error.code !== 'PG_REFUSED') throw error;
    const hint =
      option === '--since'
        ? `Give a value of the type of the column ${quoteIdentifier(selection.orderColumn)}, as '2026-11-21 08:00+00'.`
        : 'Give a condition on columns of the table, as it would stand behind WHERE.';
    throw new WalrelayError('CONFIG_INVALID', `${option} ${JSON.stringify(given)}: ${error.message}`, {
      cause: error,
      hint,
    });
  }
}
