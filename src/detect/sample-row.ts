import { columnKind } from '../core/column-kind.ts';
import type { Outbox } from '../route/outbox.ts';
import { ORDER_VALUES } from '../source/row-order.ts';
import type { RowValues } from '../source/row-values.ts';
import type { SnapshotReader, TextRow } from '../source/snapshot-reader.ts';
import { quoteIdentifier, quoteQualified } from '../source/sql.ts';
import type { SurveyedTable } from '../source/table-survey.ts';

/** Some row of the table, as orderedRowsSql would read it; undefined where there is none that is not very large. */
export async function readSampleRow(
  reader: SnapshotReader,
  table: SurveyedTable,
  { sql }: RowValues,
  payload: string | null,
): Promise<TextRow | undefined> {
  const isSmall =
    payload === null
      ? ''
      : `WHERE coalesce(pg_column_size(${quoteIdentifier(payload)}), 0) < ${VALUE_BYTES_MAX}`;
  // Without an order: the table may be large, and have no index on anything.
  const [row] = await reader.query(
    `SELECT NULL, NULL, ${sql.join(', ')} FROM ${quoteQualified(table)} ${isSmall} LIMIT 1`,
  );
  return row;
}

/** A row that nobody inserted, for a table that shows none: what each column might hold. */
export function madeUpRow(table: SurveyedTable, outbox: Outbox, { encodings }: RowValues): TextRow {
  const { slots } = outbox;
  const byRole = new Map<number, string>([
    [slots.type, 'order.placed'],
    [slots.aggregateType, 'order'],
    [slots.aggregateId, '42'],
  ]);
  const values = outbox.columns.map((column, slot) => {
    const type = table.columns.find(({ name }) => name === column)?.type ?? '';
    const text = BY_KIND[columnKind(type)] ?? byRole.get(slot) ?? 'example';
    return encodings[slot] === 'hex' ? Buffer.from(text).toString('hex') : text;
  });
  return [...Array<null>(ORDER_VALUES).fill(null), ...values];
}

const BY_KIND: Readonly<Record<string, string>> = {
  uuid: '6f1c0d5e-3f0b-4a55-9d0f-0b1c7a9f4a10',
  integer: '42',
  number: '42',
  json: '{"example": true}',
  time: '2026-01-31 12:00:00+00',
  boolean: 'f',
};

const VALUE_BYTES_MAX = 1024 * 1024;
