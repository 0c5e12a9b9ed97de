import type { ValueKind } from '../../src/core/entry-shape.ts';
import { parseLsn, toLsn } from '../../src/core/lsn.ts';
import { ORIGIN } from '../../src/core/position.ts';
import type { Outbox } from '../../src/route/outbox.ts';
import { Batch } from '../../src/sink/batch.ts';
import { packShapes } from '../../src/sink/packed-shapes.ts';
import { PublishBatch } from '../../src/sink/publish-batch.ts';
import { TransactionStamp } from '../../src/sink/transaction-stamp.ts';
import { type Unpacked, unpack } from '../unit/sink/message-pack.ts';

/** A column's value as the relay has it: bytes and what they are. */
export interface ColumnValue {
  readonly bytes: Buffer | null;
  readonly kind: ValueKind;
}

export type ComposedEntry = readonly (readonly [name: string, value: Buffer])[];

const STAMP = new TransactionStamp();
STAMP.set(toLsn(parseLsn('16/B374D848')), 843_000_000_123_456n);

/** The entry of a row that came from the WAL, in the first of the outbox's shapes. Values by column. */
export function relayedEntry(outbox: Outbox, row: Readonly<Record<string, ColumnValue>>): ComposedEntry {
  const shapes = packShapes(outbox.shapes, { hasPosition: true });
  const values = outbox.columns.map((column) => row[column] ?? { bytes: null, kind: 'text' as const });
  const starts = new Int32Array(values.length);
  const lengths = new Int32Array(values.length);
  let at = 1;
  values.forEach(({ bytes }, slot) => {
    starts[slot] = at;
    lengths[slot] = bytes?.length ?? -1;
    at += bytes?.length ?? 0;
  });
  const bytes = Buffer.concat([
    Buffer.from('#'),
    ...values.map((value) => value.bytes ?? Buffer.alloc(0)),
    Buffer.from('#'),
  ]);
  const stream = outbox.createRouter().route(bytes, starts, lengths);
  if (stream === null) throw new Error('the event was filtered out');
  const batch = new Batch(1, ORIGIN, Buffer.alloc(64), shapes);
  const kinds = values.map(({ kind }) => kind);
  batch.append(stream, STAMP, 12, bytes, starts, lengths, kinds);
  // The WAL chunk is used again by the next read.
  bytes.fill(0xee);
  return entryOf(shapes, unpack(batch.seal().packed) as Unpacked[]);
}

/** The entry of the same row, read from the table. */
export function republishedEntry(outbox: Outbox, row: Readonly<Record<string, ColumnValue>>): ComposedEntry {
  const shapes = packShapes(outbox.shapes, { hasPosition: false });
  const values = outbox.columns.map((column) => row[column] ?? { bytes: null, kind: 'text' as const });
  const batch = new PublishBatch(
    { batchEventsMax: 10, batchBytesMax: 64, eventBytesMax: 1_000_000 },
    {
      shapes,
      encodings: values.map(() => 'hex'),
      kinds: values.map(({ kind }) => kind),
      router: outbox.createRouter(),
    },
  );
  const text = values.map(({ bytes }) => bytes?.toString('hex') ?? null);
  if (batch.add(text, 0) !== 'added') throw new Error('the event was not added');
  return entryOf(shapes, unpack(batch.seal().packed) as Unpacked[]);
}

/** What the scripts make of an event's packed values. */
function entryOf(
  { shapes, headValues }: ReturnType<typeof packShapes>,
  values: readonly Unpacked[],
): ComposedEntry {
  const entry: [string, Buffer][] = [];
  for (const { name, nameValue, filledBy } of shapes[0]!.fields) {
    const named = nameValue === undefined ? name : String(values[headValues + nameValue]);
    let value: Unpacked;
    if (filledBy === 'lsn') value = values[1] as Unpacked;
    else if (filledBy === 'seq') value = values[2] as Unpacked;
    else if ('constant' in filledBy) value = Buffer.from(filledBy.constant);
    else value = values[headValues + filledBy.value] as Unpacked;
    if (Buffer.isBuffer(value)) entry.push([named, value]);
    else if (value !== null) throw new Error(`${named} is ${String(value)}`);
  }
  return entry;
}
