import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatLsn, parseLsn, toLsn } from '../../../src/core/lsn.ts';
import { ORIGIN, type Position, positionToHex } from '../../../src/core/position.ts';
import { Batch, type BatchStream } from '../../../src/sink/batch.ts';
import { NATIVE_SHAPES } from '../../support/native-outbox.ts';
import { TransactionStamp } from '../../../src/sink/transaction-stamp.ts';
import { describePackedEvent } from '../../../src/sink/packed-event.ts';
import { type Unpacked, unpack } from './message-pack.ts';

/** As many as twelve hex digits can count. */
const ORDINAL_MAX = 0xffff_ffff_ffff;

type Value = Buffer | null;

function streamNamed(name: string): BatchStream {
  return { name, shape: 0, batchSeq: -1, keyIndex: -1 };
}

function stampAt(commitLsn: bigint, committedAtUs = 0n): TransactionStamp {
  const stamp = new TransactionStamp();
  stamp.set(toLsn(commitLsn), committedAtUs);
  return stamp;
}

function append(
  batch: Batch,
  stream: BatchStream,
  stamp: TransactionStamp,
  ordinal: number,
  values: Value[],
): void {
  const bytes = Buffer.concat([
    Buffer.from('#'),
    ...values.map((value) => value ?? Buffer.alloc(0)),
    Buffer.from('#'),
  ]);
  const starts = new Int32Array(values.length);
  const lengths = new Int32Array(values.length);
  let offset = 1;
  values.forEach((value, slot) => {
    starts[slot] = offset;
    lengths[slot] = value === null ? -1 : value.length;
    offset += value?.length ?? 0;
  });
  batch.append(stream, stamp, ordinal, bytes, starts, lengths);
  // The WAL chunk is used again by the next read.
  bytes.fill(0xee);
}

function text(...values: (string | null)[]): Value[] {
  return values.map((value) => (value === null ? null : Buffer.from(value)));
}

function eventsOf(batch: Batch): Unpacked[][] {
  const values = unpack(batch.seal().packed) as Unpacked[];
  expect(values).toHaveLength(batch.eventCount * 9);
  return Array.from({ length: batch.eventCount }, (_, index) => values.slice(index * 9, index * 9 + 9));
}

const ROW = text('1', 'made', 'order', 'o-1', '{"a": 1}');
const STAMP = stampAt(parseLsn('16/B374D848'), 843_000_000_123_456n);

describe('an event in a batch', () => {
  test('is nine values: its code, LSN, ordinal, five columns and commit time', () => {
    const batch = new Batch(1, ORIGIN, Buffer.alloc(1024), NATIVE_SHAPES);
    append(batch, streamNamed('orders'), STAMP, 12, ROW);
    const [event] = eventsOf(batch);
    expect(event!.map((value) => (Buffer.isBuffer(value) ? value.toString() : value))).toEqual([
      2,
      '16/B374D848',
      '12',
      '1',
      'made',
      'order',
      'o-1',
      '{"a": 1}',
      '2026-09-17T22:40:00.123456Z',
    ]);
  });

  test('with NULLs has a negative key, and nil where they stand', () => {
    const batch = new Batch(1, ORIGIN, Buffer.alloc(1024), NATIVE_SHAPES);
    append(batch, streamNamed('a'), STAMP, 0, text('1', null, '', null, null));
    const [event] = eventsOf(batch);
    expect(event![0]).toBe(-2);
    expect(event!.slice(3, 8)).toEqual([Buffer.from('1'), null, Buffer.alloc(0), null, null]);
  });

  test('with an empty value is not one with a NULL', () => {
    const batch = new Batch(1, ORIGIN, Buffer.alloc(1024), NATIVE_SHAPES);
    append(batch, streamNamed('a'), STAMP, 0, text('', '', '', '', ''));
    const [event] = eventsOf(batch);
    expect(event![0]).toBe(2);
    expect(event!.slice(3, 8)).toEqual(text('', '', '', '', ''));
  });

  test.each([0, 1, 31, 32, 47, 48, 255, 256, 65_535, 65_536, 200_000])(
    'of %i bytes is read back, and so is what follows it',
    (length) => {
      const payload = Buffer.alloc(length, 'pä\0');
      const batch = new Batch(1, ORIGIN, Buffer.alloc(64), NATIVE_SHAPES);
      for (const ordinal of [0, 1])
        append(batch, streamNamed('a'), STAMP, ordinal, [...ROW.slice(0, 4), payload]);
      const events = eventsOf(batch);
      expect(events.map((event) => payload.equals(event[7] as Buffer))).toEqual([true, true]);
      expect(events.map((event) => String(event[2]))).toEqual(['0', '1']);
    },
  );

  test.each([0, 9, 10, 99, 65_536, ORDINAL_MAX])('may have the ordinal %i', (ordinal) => {
    const batch = new Batch(1, ORIGIN, Buffer.alloc(64), NATIVE_SHAPES);
    append(batch, streamNamed('a'), STAMP, ordinal, ROW);
    expect(String(eventsOf(batch)[0]![2])).toBe(String(ordinal));
    expect(batch.lastPosition.ordinal).toBe(ordinal);
  });
});

describe('the keys of a batch', () => {
  test('are its streams in order of appearance, numbered from 2: KEYS[1] is the lane', () => {
    const [a, b] = [streamNamed('a'), streamNamed('b')];
    const batch = new Batch(1, ORIGIN, Buffer.alloc(1024), NATIVE_SHAPES);
    for (const stream of [b, a, b, b, a]) append(batch, stream, STAMP, 0, ROW);
    expect(batch.keys).toEqual(['b', 'a']);
    expect(eventsOf(batch).map((event) => event[0])).toEqual([2, 3, 2, 2, 3]);
  });

  test('are numbered anew in every batch', () => {
    const [a, b] = [streamNamed('a'), streamNamed('b')];
    const first = new Batch(1, ORIGIN, Buffer.alloc(1024), NATIVE_SHAPES);
    append(first, a, STAMP, 0, ROW);
    append(first, b, STAMP, 1, ROW);
    const second = new Batch(2, first.lastPosition, Buffer.alloc(1024), NATIVE_SHAPES);
    append(second, b, STAMP, 2, ROW);
    expect(second.keys).toEqual(['b']);
    expect(eventsOf(second)[0]![0]).toBe(2);
  });

  test('may be as many as fit into a script call', () => {
    const batch = new Batch(1, ORIGIN, Buffer.alloc(1024), NATIVE_SHAPES);
    for (let index = 0; index < 1000; index += 1) append(batch, streamNamed(`s${index}`), STAMP, index, ROW);
    expect(eventsOf(batch).map((event) => event[0])).toEqual(
      Array.from({ length: 1000 }, (_, index) => index + 2),
    );
  });
});

describe('a batch', () => {
  test('names the position before its first event and that of its last', () => {
    const previous: Position = { commitLsn: toLsn(5n), ordinal: 7 };
    const batch = new Batch(3, previous, Buffer.alloc(1024), NATIVE_SHAPES);
    expect(batch.lastPosition).toEqual(previous);
    append(batch, streamNamed('a'), stampAt(10n), 0, ROW);
    append(batch, streamNamed('a'), stampAt(20n), 4, ROW);
    expect(batch.seal()).toMatchObject({
      previous: positionToHex(previous),
      last: positionToHex({ commitLsn: toLsn(20n), ordinal: 4 }),
      count: 2,
    });
    expect(batch.previousPosition).toBe(previous);
  });

  test('is as old as its first event', () => {
    const batch = new Batch(1, ORIGIN, Buffer.alloc(1024), NATIVE_SHAPES);
    append(batch, streamNamed('a'), stampAt(10n, 111n), 0, ROW);
    append(batch, streamNamed('a'), stampAt(20n, 222n), 0, ROW);
    expect(batch.oldestCommittedAtUs).toBe(111n);
  });

  test('grows when it must, keeps what it holds, and says how much memory it has', () => {
    const batch = new Batch(1, ORIGIN, Buffer.alloc(8), NATIVE_SHAPES);
    for (let ordinal = 0; ordinal < 100; ordinal += 1) append(batch, streamNamed('a'), STAMP, ordinal, ROW);
    expect(eventsOf(batch).map((event) => Number(String(event[2])))).toEqual(
      Array.from({ length: 100 }, (_, index) => index),
    );
    expect(batch.capacityBytes).toBeGreaterThanOrEqual(batch.byteCount);
    expect(batch.memory.length).toBe(batch.capacityBytes);
  });

  test('can be built in the memory of one before it', () => {
    const first = new Batch(1, ORIGIN, Buffer.alloc(4096, 0xff), NATIVE_SHAPES);
    append(first, streamNamed('a'), STAMP, 0, ROW);
    append(first, streamNamed('a'), STAMP, 1, ROW);
    const second = new Batch(2, first.lastPosition, first.memory, NATIVE_SHAPES);
    append(second, streamNamed('b'), STAMP, 2, ROW);
    expect(eventsOf(second)).toHaveLength(1);
    expect(second.keys).toEqual(['b']);
  });

  test('without events is an empty array', () => {
    expect(unpack(new Batch(1, ORIGIN, Buffer.alloc(64), NATIVE_SHAPES).seal().packed)).toEqual([]);
  });
});

describe('a packed event', () => {
  test('can be named to an operator, by stream, id and place, and never by its payload', () => {
    const batch = new Batch(1, ORIGIN, Buffer.alloc(64), NATIVE_SHAPES);
    append(batch, streamNamed('a'), STAMP, 0, ROW);
    append(batch, streamNamed('b'), STAMP, 1, [
      ...text('x'.repeat(300), 'made', 'order', 'o'),
      Buffer.alloc(70_000, 'p'),
    ]);
    append(batch, streamNamed('a'), STAMP, 10, text(null, null, null, null, null));
    const { packed } = batch.seal();
    expect([0, 1, 2].map((index) => describePackedEvent(packed, index, batch.keys, NATIVE_SHAPES))).toEqual([
      { stream: 'a', id: '1', lsn: '16/B374D848', seq: '0', isDeadLetter: false },
      { stream: 'b', id: 'x'.repeat(100), lsn: '16/B374D848', seq: '1', isDeadLetter: false },
      { stream: 'a', id: '(NULL)', lsn: '16/B374D848', seq: '10', isDeadLetter: false },
    ]);
  });
});

test('any events are read back as they were put in, byte for byte', () => {
  const value = fc.option(
    fc.oneof(
      { weight: 8, arbitrary: fc.uint8Array({ maxLength: 80, size: 'max' }) },
      {
        weight: 1,
        arbitrary: fc.integer({ min: 65_530, max: 65_540 }).map((length) => Buffer.alloc(length, 'wal☃')),
      },
    ),
    { freq: 5 },
  );
  const event = fc.record({
    stream: fc.nat(3),
    lsn: fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }),
    ordinal: fc.nat(ORDINAL_MAX),
    values: fc.tuple(value, value, value, value, value),
  });
  fc.assert(
    fc.property(
      fc.array(event, { minLength: 1, maxLength: 8, size: 'max' }),
      fc.nat(300),
      (events, memory) => {
        const streams = ['a', 'b', 'c', 'd'].map(streamNamed);
        const batch = new Batch(1, ORIGIN, Buffer.alloc(memory), NATIVE_SHAPES);
        for (const { stream, lsn, ordinal, values } of events) {
          append(
            batch,
            streams[stream]!,
            stampAt(lsn),
            ordinal,
            values.map((bytes) => (bytes === null ? null : Buffer.from(bytes))),
          );
        }
        const read = eventsOf(batch).map((packed) => ({
          stream: batch.keys[Math.abs(packed[0] as number) - 2],
          isNegative: (packed[0] as number) < 0,
          values: packed.slice(3, 8).map((bytes) => (bytes as Value)?.toString('latin1') ?? null),
          place: `${String(packed[1])} ${String(packed[2])} ${String(packed[8])}`,
        }));
        expect(read).toEqual(
          events.map(({ stream, lsn, ordinal, values }) => ({
            stream: streams[stream]!.name,
            isNegative: values.includes(null),
            values: values.map((bytes) => (bytes === null ? null : Buffer.from(bytes).toString('latin1'))),
            place: `${formatLsn(toLsn(lsn))} ${ordinal} 2000-01-01T00:00:00.000000Z`,
          })),
        );
      },
    ),
    { numRuns: 80 },
  );
});
