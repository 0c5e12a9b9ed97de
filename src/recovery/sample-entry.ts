import { WalrelayError } from '../core/walrelay-error.ts';
import { readPackedEvent } from '../sink/packed-event.ts';
import { packShapes } from '../sink/packed-shapes.ts';
import { PublishBatch } from '../sink/publish-batch.ts';
import { RowRouter } from '../route/row-router.ts';
import { ORDER_VALUES } from '../source/row-order.ts';
import type { TextRow } from '../source/snapshot-reader.ts';
import { openCursor, rangeFrom, type RowSource } from './missing-rows.ts';

/** What a row would become. */
export interface SampleEntry {
  readonly stream: string;
  readonly fields: Readonly<Record<string, string>>;
}

/** Null when there is no row, or when the first is filtered out. Throws what makes the first row impassable. */
export async function sampleEntry(source: RowSource): Promise<SampleEntry | null> {
  const { values, reader } = source;
  await openCursor(source, values.sql, rangeFrom(source.since, source));
  const [row] = await reader.query('FETCH 1 FROM walrelay_rows');
  await reader.query('CLOSE walrelay_rows');
  return row === undefined ? null : entryOfRow(row, source);
}

/** `row`: as orderedRowsSql reads it. Null when it is filtered out. Throws what makes it impassable. */
export function entryOfRow(
  row: TextRow,
  source: Pick<RowSource, 'outbox' | 'values' | 'isRaw'>,
): SampleEntry | null {
  const { outbox, values } = source;
  const stream = new RowRouter(outbox, (slot) => ORDER_VALUES + slot, source).route(row);
  if (stream === null) return null;
  const shapes = packShapes(outbox.shapes, { hasPosition: false });
  const batch = new PublishBatch(ONE_ROW, {
    shapes,
    encodings: values.encodings,
    kinds: values.kinds,
    router: outbox.createRouter(),
  });
  batch.add(row, ORDER_VALUES);
  const { values: packed, shape } = readPackedEvent(batch.seal().packed, 0, shapes);
  const fields: Record<string, string> = {};
  if (shape === undefined) throw new WalrelayError('BUG', 'an event of an unknown shape');
  for (const { name, nameValue, filledBy } of shape.fields) {
    if (typeof filledBy === 'string') continue;
    const value = 'constant' in filledBy ? filledBy.constant : packed[shapes.headValues + filledBy.value];
    const named = nameValue === undefined ? name : packed[shapes.headValues + nameValue];
    if (typeof value === 'string' && typeof named === 'string') fields[named] = value;
  }
  return { stream, fields };
}

const ONE_ROW = { batchEventsMax: 1, batchBytesMax: 1024, eventBytesMax: Number.POSITIVE_INFINITY };
