import { expect, test } from 'vitest';
import { ConfirmTracker } from '../../../src/confirm/confirm-tracker.ts';
import { createDeferred, type Deferred } from '../../../src/core/deferred.ts';
import { toLsn } from '../../../src/core/lsn.ts';
import { formatPosition, ORIGIN, type Position } from '../../../src/core/position.ts';
import type { TuplePlan } from '../../../src/decode/outbox-columns.ts';
import { Pump } from '../../../src/relay/pump.ts';
import { compileOutbox, type Outbox } from '../../../src/route/outbox.ts';
import { StreamRouter } from '../../../src/route/stream-router.ts';
import { parseStreamTemplate } from '../../../src/route/stream-template.ts';
import type { Batch } from '../../../src/sink/batch.ts';
import { DeadLetterDesk, type DeadLetterFacts } from '../../../src/relay/dead-letter-desk.ts';
import { PoisonPolicy } from '../../../src/relay/poison-policy.ts';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { packShapes } from '../../../src/sink/packed-shapes.ts';
import { NATIVE_OUTBOX } from '../../support/native-outbox.ts';
import { unpack } from '../sink/message-pack.ts';

const lsn = (value: number) => toLsn(BigInt(value));

const LOOSE_SHAPES = packShapes(NATIVE_OUTBOX.shapes, { hasPosition: true, hasLoose: true });
/** Entries are put together: a CloudEvent in one field. */
const COMPOSED_OUTBOX = compileOutbox(
  { ...NATIVE_OUTBOX.mapping, format: 'cloudevents-structured' },
  { metaKey: 'meta', deadLetterStream: 'dead' },
);
const COMPOSED_SHAPES = packShapes(COMPOSED_OUTBOX.shapes, { hasPosition: true, hasLoose: true });
const SETTINGS = loadSettings({
  env: { DATABASE_URL: 'postgres://db/x', REDIS_URL: 'redis://r', WALRELAY_POISON: 'dead-letter' },
  flags: {},
  readFile: () => '',
});

const PLAN: TuplePlan = { outbox: 0, slotOfColumn: new Int16Array(), byteaSlots: [], kinds: [] };

/** A pump for lanes `a`, `b`, …: events are single letters, which name their stream and lane. */
class PumpRun {
  readonly tracker = new ConfirmTracker({ confirmedLsn: lsn(0), floorLsn: lsn(0), replayWindowMs: 0 });
  readonly appended: {
    readonly lane: number;
    readonly batch: Batch;
    readonly answer: Deferred<{ skipped: number }>;
  }[] = [];
  readonly pauses: boolean[] = [];
  readonly failures: unknown[] = [];
  readonly pump: Pump;

  readonly letters: DeadLetterFacts[] = [];

  constructor(options: {
    isSingleLane: boolean;
    watermarks?: Readonly<Record<number, Position>>;
    policy?: PoisonPolicy;
    outbox?: Outbox;
    eventBytesMax?: number;
  }) {
    const { outbox = NATIVE_OUTBOX, eventBytesMax = 100_000 } = options;
    /** That of the events without a stream is `d`. */
    const laneOf = (name: string) =>
      options.isSingleLane ? 0 : (/s\.(.)/.exec(name)?.[1] ?? 'd').charCodeAt(0) - 'a'.charCodeAt(0);
    this.pump = new Pump({
      // Slot 0, the id, names the stream too.
      routers: [
        new StreamRouter(parseStreamTemplate('s.${x}'), [0], {
          reserved: { metaKey: 'meta', deadLetterStream: 'dead' },
          laneOf,
        }),
      ],
      shapes: packShapes(outbox.shapes, { hasPosition: true, hasLoose: true }),
      desk:
        options.policy === undefined
          ? null
          : new DeadLetterDesk({
              policy: options.policy,
              base: 'd',
              isCluster: !options.isSingleLane,
              shape: NATIVE_OUTBOX.shapes.length,
              outboxes: [{ settings: SETTINGS.outboxes[0]!, outbox }],
              laneOf,
            }),
      tracker: this.tracker,
      isSingleLane: options.isSingleLane,
      batchEventsMax: 2,
      batchBytesMax: 100_000,
      eventBytesMax,
      inFlightBatchesMax: 2,
      pauseAtBytes: 10_000_000,
      lane: (lane) => ({
        watermark: options.watermarks?.[lane] ?? ORIGIN,
        append: (batch) => {
          const answer = createDeferred<{ skipped: number }>();
          this.appended.push({ lane, batch, answer });
          return answer.promise;
        },
      }),
      setPaused: (isPaused) => this.pauses.push(isPaused),
      failed: (error) => this.failures.push(error),
      observer: { read() {}, accepted() {}, deadLettered: (facts) => this.letters.push(facts) },
    });
  }

  /** A transaction of events that commits at `at` and ends 5 later. */
  transact(at: number, events: string): void {
    this.pump.begin(lsn(at), 0n);
    for (const letter of events) {
      this.pump.insert(Buffer.from(letter), new Int32Array(5), new Int32Array([1, 1, 1, 1, 1]), PLAN);
    }
    this.pump.commit(lsn(at + 5));
  }

  async answer(index: number): Promise<void> {
    this.appended[index]?.answer.resolve({ skipped: 0 });
    await Promise.resolve();
    await Promise.resolve();
  }

  /** `lane: previous → last` of every batch that was sent. */
  get sent(): string[] {
    return this.appended.map(
      ({ lane, batch }) =>
        `${'abcd'[lane]}: ${formatPosition(batch.previousPosition)} → ${formatPosition(batch.lastPosition)}`,
    );
  }
}

test('each lane has a chain of its own', async () => {
  const run = new PumpRun({ isSingleLane: false });
  run.transact(10, 'ab');
  run.transact(20, 'b');
  run.pump.chunkEnd();
  run.transact(30, 'ba');
  run.pump.chunkEnd();
  await run.answer(0);
  await run.answer(1);
  expect(run.sent).toEqual([
    'a: 0/0 #0 → 0/A #0',
    'b: 0/0 #0 → 0/14 #0',
    'a: 0/A #0 → 0/1E #1',
    'b: 0/14 #0 → 0/1E #0',
  ]);
});

test('a lane that answers early confirms nothing past one that has not answered', async () => {
  const run = new PumpRun({ isSingleLane: false });
  run.transact(10, 'a');
  run.transact(20, 'b');
  run.pump.chunkEnd();
  await run.answer(1);
  expect(run.tracker.acceptedLsn).toBe(0n);
  await run.answer(0);
  expect(run.tracker.acceptedLsn).toBe(25n);
});

test('a transaction over two lanes is accepted with the last of them', async () => {
  const run = new PumpRun({ isSingleLane: false });
  run.transact(10, 'ab');
  run.pump.chunkEnd();
  await run.answer(0);
  expect(run.tracker.acceptedLsn).toBe(0n);
  await run.answer(1);
  expect(run.tracker.acceptedLsn).toBe(15n);
});

test('what stands in one lane is skipped there, and not in another that lost it', () => {
  const run = new PumpRun({
    isSingleLane: false,
    watermarks: { 0: { commitLsn: lsn(20), ordinal: 0 }, 1: ORIGIN },
  });
  run.transact(10, 'ab');
  run.transact(20, 'aab');
  run.pump.chunkEnd();
  expect(run.sent).toEqual(['b: 0/0 #0 → 0/14 #2', 'a: 0/14 #0 → 0/14 #1']);
});

test('bytes without an event pause nothing, whatever the number of lanes', () => {
  for (const isSingleLane of [true, false]) {
    const run = new PumpRun({ isSingleLane });
    run.pump.keepalive(lsn(5));
    run.transact(10, '');
    run.pump.chunkEnd();
    expect(run.pauses).toEqual([]);
  }
});

test('reading pauses when a lane’s batches pile up, and goes on when they are answered', async () => {
  const run = new PumpRun({ isSingleLane: true });
  run.transact(10, 'aaaaaaaaaa');
  run.pump.chunkEnd();
  expect(run.pauses).toEqual([true]);
  for (let index = 0; index < 5; index += 1) await run.answer(index);
  expect(run.pauses).toEqual([true, false]);
  expect(run.appended.length).toBe(5);
});

test('after a batch is refused nothing is sent to any lane', async () => {
  const run = new PumpRun({ isSingleLane: false });
  run.transact(10, 'ab');
  run.pump.chunkEnd();
  run.appended[0]?.answer.reject(new Error('no'));
  await Promise.resolve();
  await Promise.resolve();
  run.transact(20, 'ab');
  run.pump.chunkEnd();
  await run.answer(1);
  expect(run.appended.length).toBe(2);
  expect(run.failures.length).toBe(1);
  await expect(run.pump.drain()).rejects.toThrow('no');
});

/** The fields of the dead letters of a batch, by the keys that they go to. */
function lettersOf(batch: Batch, shapes = LOOSE_SHAPES): { key: string; fields: Record<string, string> }[] {
  const values = unpack(batch.seal().packed) as (Buffer | number | null)[];
  const found: { key: string; fields: Record<string, string> }[] = [];
  for (let at = 0; at < values.length; at += shapes.stride) {
    const code = Number(values[at]);
    if (code < 2048) continue;
    const list = (unpack(values[at + 3] as Buffer) as Buffer[]).map(String);
    const fields: Record<string, string> = {};
    for (let place = 0; place < list.length; place += 2) fields[list[place]!] = list[place + 1]!;
    found.push({ key: batch.keys[(code % 2048) - 2]!, fields });
  }
  return found;
}

test('an event that has no stream goes to the dead letters between its neighbours, and is told of once it stands', async () => {
  const policy = new PoisonPolicy(SETTINGS, () => 0);
  const run = new PumpRun({ isSingleLane: true, policy });
  run.transact(10, 'a ');
  run.transact(20, 'b');
  run.pump.chunkEnd();
  expect(run.sent).toEqual(['a: 0/0 #0 → 0/A #1']);
  expect(lettersOf(run.appended[0]!.batch)).toMatchObject([
    { key: 'd', fields: { reason: 'EVENT_STREAM_NAME', id: ' ', lsn: '0/A', seq: '1', 'column:type': ' ' } },
  ]);
  expect(run.letters).toEqual([]);
  await run.answer(0);
  await run.answer(1);
  expect(run.letters).toMatchObject([{ reason: 'EVENT_STREAM_NAME', lsn: '0/A', seq: 1, stream: null }]);
  expect(run.tracker.acceptedLsn).toBe(25n);
});

test('an event that was refused goes to the dead letters of its own lane, and to none behind its watermark', () => {
  const refusal = (lsnText: string) =>
    new WalrelayError('EVENT_REFUSED', 'WRONGTYPE', { facts: { lsn: lsnText, seq: '0', stream: 's.b' } });
  const policy = new PoisonPolicy(SETTINGS, () => 0);
  expect(policy.takesAside(refusal('0/A'))).toBe(true);
  expect(policy.takesAside(refusal('0/14'))).toBe(true);
  const run = new PumpRun({
    isSingleLane: false,
    policy,
    watermarks: { 1: { commitLsn: lsn(10), ordinal: 0 } },
  });
  run.transact(10, 'ba ');
  run.transact(20, 'bb');
  run.pump.chunkEnd();
  expect(run.sent.toSorted()).toEqual(['a: 0/0 #0 → 0/A #1', 'b: 0/A #0 → 0/14 #1', 'd: 0/0 #0 → 0/A #2']);
  const letters = run.appended.flatMap(({ batch }) => lettersOf(batch));
  expect(letters.map(({ key, fields }) => `${key} ${fields['lsn']} ${fields['seq']}`).toSorted()).toEqual([
    'd 0/A 2',
    'd:{s.b} 0/14 0',
  ]);
});

/** A transaction of three events, the one in the middle with a payload that grows to six times its size in JSON. */
function transactGrowing(run: PumpRun): void {
  const payload = '\u0001'.repeat(100);
  run.pump.begin(lsn(10), 0n);
  for (const [name, text] of [
    ['a', '{}'],
    ['b', payload],
    ['a', '{}'],
  ] as const) {
    const lengths = new Int32Array([1, 1, 1, 1, 1]);
    const starts = new Int32Array(5);
    const slot = COMPOSED_OUTBOX.slots.payload;
    starts[slot] = 1;
    lengths[slot] = text.length;
    const kinds = COMPOSED_OUTBOX.columns.map((column) => (column === 'type' ? 'json' : 'text'));
    run.pump.insert(Buffer.from(name + text), starts, lengths, { ...PLAN, kinds });
  }
  run.pump.commit(lsn(15));
}

test('an event that is too large only in its format goes to the dead letters in its place, as its row was', async () => {
  const policy = new PoisonPolicy(SETTINGS, () => 0);
  const options = { policy, outbox: COMPOSED_OUTBOX, eventBytesMax: 500 };
  const run = new PumpRun({ isSingleLane: true, ...options });
  transactGrowing(run);
  run.pump.chunkEnd();
  await run.answer(0);
  await run.answer(1);
  // Two events to a batch: it stands between its neighbours.
  expect(run.sent).toEqual(['a: 0/0 #0 → 0/A #1', 'a: 0/A #1 → 0/A #2']);
  expect(lettersOf(run.appended[0]!.batch, COMPOSED_SHAPES)).toMatchObject([
    {
      key: 'd',
      fields: {
        reason: 'EVENT_TOO_LARGE',
        stream: 's.b',
        seq: '1',
        kinds: '{"type":"json"}',
        'column:payload': '\u0001'.repeat(100),
      },
    },
  ]);
  expect(run.letters).toMatchObject([{ reason: 'EVENT_TOO_LARGE', seq: 1, stream: 's.b' }]);
  expect(run.tracker.acceptedLsn).toBe(15n);
});

test('on a cluster it goes to the dead letters of its stream’s lane; without any the pump stops in front of it', () => {
  const options = { isSingleLane: false, outbox: COMPOSED_OUTBOX, eventBytesMax: 500 };
  const run = new PumpRun({ ...options, policy: new PoisonPolicy(SETTINGS, () => 0) });
  transactGrowing(run);
  run.pump.chunkEnd();
  expect(run.sent).toEqual(['a: 0/0 #0 → 0/A #2', 'b: 0/0 #0 → 0/A #1']);
  expect(lettersOf(run.appended[1]!.batch, COMPOSED_SHAPES).map(({ key }) => key)).toEqual(['d:{s.b}']);

  const halting = new PumpRun(options);
  expect(() => transactGrowing(halting)).toThrow('bytes in its format');
  halting.pump.chunkEnd();
  expect(halting.sent).toEqual(['a: 0/0 #0 → 0/A #0']);
});

test('a message that can’t be read takes its place, and is kept as it came; one behind the watermark is not kept again', () => {
  const policy = new PoisonPolicy(SETTINGS, () => 0);
  const run = new PumpRun({
    isSingleLane: true,
    policy,
    watermarks: { 0: { commitLsn: lsn(10), ordinal: 0 } },
  });
  const malformed = () => {
    const error = new WalrelayError('EVENT_MALFORMED', 'no JSON');
    run.pump.malformed(error, Buffer.from('..{broken..'), 2, 7, PLAN);
  };
  run.pump.begin(lsn(10), 0n);
  malformed();
  malformed();
  run.pump.commit(lsn(15));
  run.transact(20, 'a');
  run.pump.chunkEnd();
  expect(run.sent).toEqual(['a: 0/A #0 → 0/14 #0']);
  const [letter, ...others] = lettersOf(run.appended[0]!.batch);
  expect(others).toEqual([]);
  expect(letter!.fields).toMatchObject({
    reason: 'EVENT_MALFORMED',
    content: '{broken',
    lsn: '0/A',
    seq: '1',
  });
  expect(Object.keys(letter!.fields).filter((name) => /^column:|^id$|^nulls$/.test(name))).toEqual([]);
  const halting = new PumpRun({ isSingleLane: true });
  halting.pump.begin(lsn(10), 0n);
  const refuse = () =>
    halting.pump.malformed(new WalrelayError('EVENT_MALFORMED', 'no JSON'), Buffer.from('x'), 0, 1, PLAN);
  expect(refuse).toThrow('no JSON');
});

test('past the limit the pump stops in front of the event', () => {
  const policy = new PoisonPolicy({ ...SETTINGS, deadLettersMax: 1 }, () => 0);
  const run = new PumpRun({ isSingleLane: true, policy });
  expect(() => run.transact(10, 'a a b')).toThrow('1 events became dead letters');
  run.pump.chunkEnd();
  expect(run.sent[0]).toBe('a: 0/0 #0 → 0/A #1');
});
