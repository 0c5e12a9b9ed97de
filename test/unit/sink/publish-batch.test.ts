import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseStreamTemplate } from '../../../src/route/stream-template.ts';
import { StreamRouter } from '../../../src/route/stream-router.ts';
import {
  PublishBatch,
  type PublishBatchLimits,
  type ValueEncoding,
} from '../../../src/sink/publish-batch.ts';
import { NATIVE_PUBLISHED } from '../../support/native-outbox.ts';
import { thrownCode } from '../thrown-code.ts';
import { type Unpacked, unpack } from './message-pack.ts';

type Row = (string | null)[];

const LIMITS: PublishBatchLimits = { batchEventsMax: 100, batchBytesMax: 4096, eventBytesMax: 100_000 };
const ROW: Row = ['(0,1)', '1', 'made', 'order', 'o-1', '{"a": 1}'];

function create(
  options: { limits?: Partial<PublishBatchLimits>; encoding?: ValueEncoding; extra?: number } = {},
) {
  const { limits, encoding = 'utf8', extra = 0 } = options;
  const slot = extra === 0 ? 2 : 5;
  return new PublishBatch(
    { ...LIMITS, ...limits },
    {
      shapes: NATIVE_PUBLISHED,
      encodings: Array.from({ length: 5 + extra }, () => encoding),
      kinds: [],
      router: new StreamRouter(parseStreamTemplate('s.${a}'), [slot], {
        reserved: { metaKey: 'meta', deadLetterStream: 'dead' },
      }),
    },
  );
}

function eventsOf(batch: PublishBatch): Unpacked[][] {
  const { count, packed } = batch.seal();
  const values = unpack(packed) as Unpacked[];
  expect(values).toHaveLength(count * 6);
  return Array.from({ length: count }, (_, index) => values.slice(index * 6, index * 6 + 6));
}

const text = (value: Unpacked | undefined) => (Buffer.isBuffer(value) ? value.toString() : value);

test('an entry has the fields of run, without those that only the WAL tells', () => {
  expect(NATIVE_PUBLISHED.shapes[0]?.fields.map(({ name }) => name)).toEqual([
    'id',
    'type',
    'aggregate_type',
    'aggregate_id',
    'payload',
  ]);
});

test('an event is its key and five values; a negative key says that one is NULL', () => {
  const batch = create();
  expect(batch.add(ROW, 1)).toBe('added');
  expect(batch.add(['', '2', null, 'bill', '', '[]'], 1)).toBe('added');
  expect(batch.keys).toEqual(['s.order', 's.bill']);
  expect(batch.streamOf(1)).toBe('s.bill');
  expect(eventsOf(batch).map((event) => event.map(text))).toEqual([
    [1, '1', 'made', 'order', 'o-1', '{"a": 1}'],
    [-2, '2', null, 'bill', '', '[]'],
  ]);
});

test('whatever text Postgres sends is packed as its bytes', () => {
  const value = fc.option(fc.string({ unit: 'binary', maxLength: 400 }), { nil: null });
  fc.assert(
    fc.property(fc.array(fc.tuple(value, value, value, value), { maxLength: 20 }), (rows) => {
      const batch = create({ limits: { batchBytesMax: 1_000_000 } });
      for (const [id, type, aggregateId, payload] of rows)
        expect(batch.add([id, type, 'order', aggregateId, payload], 0)).toBe('added');
      const found = eventsOf(batch).map((event) => event.slice(1).map(text));
      expect(found).toEqual(rows.map(([id, type, ...rest]) => [id, type, 'order', ...rest]));
    }),
  );
});

test('hex stands for bytes that no encoding explains', () => {
  const batch = create({ encoding: 'hex' });
  batch.add(['31', null, Buffer.from('order').toString('hex'), null, 'e9ff00'], 0);
  expect(eventsOf(batch)[0]?.[5]).toEqual(Buffer.from([0xe9, 0xff, 0x00]));
  expect(batch.keys).toEqual(['s.order']);
});

test('a column that only names the stream is not in the entry', () => {
  const batch = create({ extra: 1 });
  batch.add([...ROW, 'north'], 1);
  batch.add([...ROW, 'south'], 1);
  expect(batch.keys).toEqual(['s.north', 's.south']);
  expect(eventsOf(batch).map((event) => event.length)).toEqual([6, 6]);
});

test('a full batch takes no more, by events and by bytes; a row larger than a batch goes alone', () => {
  const few = create({ limits: { batchEventsMax: 2 } });
  expect([few.add(ROW, 1), few.add(ROW, 1), few.add(ROW, 1)]).toEqual(['added', 'added', 'full']);
  few.clear();
  expect([few.eventCount, few.keys.length, few.add(ROW, 1)]).toEqual([0, 0, 'added']);

  const large = ['1', 't', 'order', 'a', 'x'.repeat(50_000)];
  const small = create();
  expect([small.add(ROW, 1), small.add(large, 0), small.eventCount]).toEqual(['added', 'full', 1]);
  small.clear();
  expect([small.add(large, 0), small.add(ROW, 1)]).toEqual(['added', 'full']);
  expect(text(eventsOf(small)[0]?.[5])).toBe(large[4]);
});

test('an event that can not pass is refused, and the batch is as it was before', () => {
  const batch = create();
  batch.add(ROW, 1);
  const before = Buffer.from(batch.seal().packed);
  expect(thrownCode(() => batch.add(['2', 't', 'or der', 'a', '{}'], 0))).toBe('EVENT_STREAM_NAME');
  expect(thrownCode(() => batch.add(['2', 't', null, 'a', '{}'], 0))).toBe('EVENT_NO_ROUTE');
  expect(thrownCode(() => batch.add(['2', 't', 'order', 'a', 'x'.repeat(100_001)], 0))).toBe(
    'EVENT_TOO_LARGE',
  );
  expect(Buffer.from(batch.seal().packed).equals(before)).toBe(true);
});
