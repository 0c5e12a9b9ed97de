import { POLLED_ENTRY_FIELDS } from '../sink/publish-script.ts';
import { ORDER_VALUES } from '../source/row-order.ts';
import { openCursor, rangeFrom, type RowSource, textOf } from './missing-rows.ts';
import { RowRouter } from '../route/row-router.ts';

/** What a row would become. */
export interface SampleEntry {
  readonly stream: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Null when there is no row. Throws what makes the first row impassable. */
export async function sampleEntry(source: RowSource): Promise<SampleEntry | null> {
  const { shape, reader, isRaw } = source;
  await openCursor(source, shape.columns.names, rangeFrom(source.since, source));
  const [row] = await reader.query('FETCH 1 FROM walrelay_rows');
  await reader.query('CLOSE walrelay_rows');
  if (row === undefined) return null;
  const fields: Record<string, string> = {};
  POLLED_ENTRY_FIELDS.forEach((name, slot) => {
    const value = row[ORDER_VALUES + slot] ?? null;
    if (value !== null) fields[name] = textOf(value, isRaw);
  });
  const stream = new RowRouter(shape, (slot) => ORDER_VALUES + slot, source).route(row);
  return { stream, fields };
}
