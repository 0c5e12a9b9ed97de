import { WalrelayError } from '../core/walrelay-error.ts';
import type { OutboxShape } from '../relay/outbox-shape.ts';
import { findRowOrder, rangeSql, type RowOrder } from '../source/row-order.ts';
import type { SnapshotReader } from '../source/snapshot-reader.ts';
import { quoteIdentifier, quoteQualified } from '../source/sql.ts';
import { rangeFrom } from './missing-rows.ts';

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
  shape: OutboxShape,
  reader: SnapshotReader,
  selection: RowSelection,
  what: string,
): Promise<RowOrder> {
  const { expected, columns } = shape;
  const table = quoteQualified(expected.table);
  try {
    const list = columns.names.map(quoteIdentifier).join(', ');
    await reader.query(`SELECT ${list} FROM ${table} LIMIT 0`);
    const order = await findRowOrder(reader, expected, selection.orderColumn);
    await checkOption(reader, table, { ...selection, where: null }, '--since', selection.since);
    await checkOption(reader, table, { ...selection, since: null }, '--where', selection.where);
    return order;
  } catch (error) {
    if (!(error instanceof WalrelayError) || error.code !== 'PG_PRIVILEGE') throw error;
    const schema = quoteIdentifier(expected.table.schema);
    throw new WalrelayError('PG_PRIVILEGE', error.message, {
      cause: error,
      hint:
        `${what} reads the table, which a relay does not: GRANT USAGE ON SCHEMA ${schema} TO …; ` +
        `GRANT SELECT ON ${table} TO …; (with row security: a role that it does not apply to).`,
    });
  }
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
