import { packShapes } from '../sink/packed-shapes.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { RowRouter } from '../route/row-router.ts';
import { ORDER_VALUES } from '../source/row-order.ts';
import { openCursor, rangeFrom, type RowSource, textOf } from './missing-rows.ts';
import { idOf } from './publish-missing.ts';

/** What a row would become. */
export interface SampleEntry {
  readonly stream: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Null when there is no row, or when the first is filtered out. Throws what makes the first row impassable. */
export async function sampleEntry(source: RowSource): Promise<SampleEntry | null> {
  const { outbox, values, reader, isRaw } = source;
  await openCursor(source, values.sql, rangeFrom(source.since, source));
  const [row] = await reader.query('FETCH 1 FROM walrelay_rows');
  await reader.query('CLOSE walrelay_rows');
  if (row === undefined) return null;
  const stream = new RowRouter(outbox, (slot) => ORDER_VALUES + slot, source).route(row);
  if (stream === null) return null;
  const [shape] = packShapes(outbox.shapes, { hasPosition: false }).shapes;
  if (shape === undefined) throw new WalrelayError('BUG', 'an outbox without a shape');
  const fields: Record<string, string> = {};
  for (const { name, filledBy } of shape.fields) {
    if (typeof filledBy === 'string') continue;
    if ('constant' in filledBy) {
      fields[name] = filledBy.constant;
      continue;
    }
    const slot = shape.sources[filledBy.value] as number;
    const value = slot >= 0 ? (row[ORDER_VALUES + slot] ?? null) : null;
    if (slot >= 0 && value !== null) fields[name] = textOf(value, isRaw || values.encodings[slot] === 'hex');
    else if (filledBy.value === shape.idValue) fields[name] = idOf(source, row);
  }
  return { stream, fields };
}
