import Table from 'cli-table3';
import { Bench } from 'tinybench';
import { ConfirmTracker } from '../src/confirm/confirm-tracker.ts';
import { ZERO_LSN } from '../src/core/lsn.ts';
import { ORIGIN } from '../src/core/position.ts';
import { PgoutputDecoder, type TransactionHandler } from '../src/decode/pgoutput-decoder.ts';
import { compilePlan } from '../src/decode/outbox-columns.ts';
import { Pump } from '../src/relay/pump.ts';
import { XLOG_DATA_HEADER_BYTES } from '../src/source/walsender-message.ts';
import { StreamRouter } from '../src/route/stream-router.ts';
import { parseStreamTemplate } from '../src/route/stream-template.ts';
import type { Batch } from '../src/sink/batch.ts';
import { CopyDataReader } from '../src/source/copy-data-reader.ts';
import { NATIVE_OUTBOX, NATIVE_SHAPES } from '../test/support/native-outbox.ts';
import { scriptCost } from './script-cost.ts';
import { walLoad } from './wal-load.ts';

/**
 * What an event costs in each stage, without servers but for the last: microseconds of one core per event, on a
 * stream of single-row transactions. For comparing two versions of a stage on one machine; `npm run bench` measures
 * the whole.
 */

const LOAD = walLoad(20_000);
const NOTHING: TransactionHandler = { begin() {}, insert() {}, commit() {} };

function read(copyData: (bytes: Buffer, start: number, end: number) => void, chunkEnd: () => void): void {
  const reader = new CopyDataReader({ copyData, other() {} }, 16 * 1024 * 1024);
  for (const chunk of LOAD.reads) {
    reader.push(chunk);
    chunkEnd();
  }
}

function decode(handler: TransactionHandler, chunkEnd: () => void): void {
  const decoder = new PgoutputDecoder(
    {
      slotCount: NATIVE_OUTBOX.columns.length,
      planOf: (relation) =>
        compilePlan({ outbox: 0, name: 'bench', names: NATIVE_OUTBOX.columns, binarySlots: [] }, relation),
    },
    handler,
  );
  read((bytes, start, end) => decoder.decode(bytes, start + XLOG_DATA_HEADER_BYTES, end), chunkEnd);
}

/** Source, decode, route, batch and confirm as in the relay, into a Redis that accepts at once. */
function encode(batchEventsMax: number, take: (batch: Batch) => void): void {
  const pump = new Pump({
    routers: [
      new StreamRouter(parseStreamTemplate('outbox.'), [], {
        reserved: { metaKey: 'walrelay:bench', deadLetterStream: 'dead' },
      }),
    ],
    shapes: NATIVE_SHAPES,
    desk: null,
    tracker: new ConfirmTracker({ confirmedLsn: ZERO_LSN, floorLsn: ZERO_LSN, replayWindowMs: 0 }),
    isSingleLane: true,
    batchEventsMax,
    batchBytesMax: 256 * 1024,
    eventBytesMax: 16 * 1024 * 1024,
    inFlightBatchesMax: 4,
    pauseAtBytes: 48 * 1024 * 1024,
    lane: () => ({
      watermark: ORIGIN,
      async append(batch) {
        batch.seal();
        take(batch);
        return { skipped: 0 };
      },
    }),
    setPaused() {},
    failed(error) {
      throw error;
    },
    observer: { read() {}, accepted() {}, deadLettered() {} },
  });
  decode(pump, () => pump.chunkEnd());
}

/** The first batch of so many events that the relay would send. */
function firstBatch(events: number): Batch {
  let first: Batch | null = null;
  encode(events, (batch) => {
    first ??= batch;
  });
  if (first === null) throw new Error('no batch was made');
  return first;
}

const bench = new Bench({ time: 2000, warmupTime: 500 });
bench
  .add('frames: bytes of the socket to CopyData', () =>
    read(
      () => {},
      () => {},
    ),
  )
  .add('+ decode: CopyData to byte ranges', () => decode(NOTHING, () => {}))
  .add('+ route, encode, confirm: byte ranges to sealed batches', () => encode(512, () => {}));
await bench.run();
const stages = new Table({ head: ['stage', 'us/event'], colAligns: ['left', 'right'] });
for (const { name, result } of bench.tasks) {
  if (result.state !== 'completed') throw new Error(`${name} did not run`);
  stages.push([name, rounded((result.latency.p50 * 1000) / LOAD.events)]);
}
const scripts = new Table({
  head: ['append script', 'us/event', 'of it XADD', 'server CPU us/event'],
  colAligns: ['left', 'right', 'right', 'right'],
});
for (const cost of await scriptCost([16, 128, 512].map(firstBatch))) {
  scripts.push([
    `${cost.eventsPerBatch} events a batch`,
    rounded(cost.scriptUsPerEvent),
    rounded(cost.xaddUsPerEvent),
    rounded(cost.serverCpuUsPerEvent),
  ]);
}
process.stdout.write(`${stages.toString()}\n${scripts.toString()}\n`);

function rounded(us: number): string {
  return us.toFixed(3);
}
