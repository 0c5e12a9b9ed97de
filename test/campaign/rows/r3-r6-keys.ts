import { waitForEvents } from '../../support/chaos-links.ts';
import { compareStreams, type RelayedEvent } from '../../support/compare-streams.ts';
import { expectFlawless, expectFloorNoted, readEntries } from '../../support/exactness.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';
import type { Scene } from '../scene.ts';
import { countExactness } from '../tally.ts';

const AGGREGATE_TYPES = ['order', 'customer', 'invoice', 'shipment'] as const;

export const rows: readonly Row[] = [
  {
    id: 'R3',
    fault: 'FLUSHALL under load',
    must: 'HALT',
    runs: 2,
    isShort: true,
    async run(context) {
      const { scene, daemon } = await context.openUnderLoad();
      await waitForEvents(daemon, 200);
      const before = await scene.outbox.redis.multi().hget(scene.outbox.metaKey, 'floor').flushall().exec();
      context.fault('FLUSHALL');
      const notPast = scene.parseFloor(before?.[0]?.[1]);
      // Redis itself has lost what stood in the streams.
      await scene.expectHalt(daemon, ['LANE_MISSING'], { notPast, entries: 'any' });
    },
  },
  {
    id: 'R4',
    fault: 'DEL of a stream under load: nothing of it comes again, all that follows does',
    must: 'OK',
    runs: 2,
    async run(context) {
      await takeEntriesAway(context, (stream) => ['DEL', stream]);
    },
  },
  {
    id: 'R5',
    fault: 'streams trimmed to nothing under load',
    must: 'OK',
    runs: 2,
    async run(context) {
      await takeEntriesAway(context, (stream) => ['XTRIM', stream, 'MAXLEN', '0']);
    },
  },
  {
    id: 'R6',
    fault: 'a foreign XADD into a stream of ours; and one that leaves no ID free',
    must: ['OK', 'HALT'],
    runs: 2,
    async run(context) {
      const scene = await context.openScene();
      const { outbox } = scene;
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      for (let count = 1; count <= 3; count += 1) {
        await waitForEvents(daemon, count * 100);
        const fault = context.fault('a foreign entry');
        await outbox.redis.xadd(outbox.stream('order'), '*', 'foreign', String(count));
        await scene.recover(daemon, fault);
      }
      await scene.stopWorkloads();
      await outbox.waitUntilConfirmed();
      const isForeign = ({ id }: RelayedEvent): boolean => id === '';
      const read = await readEntries(outbox.redis, outbox.name);
      const foreign = [...read.values()].flat().filter(isForeign);
      if (foreign.length !== 3) throw new Error(`expected 3 foreign entries, found ${foreign.length}`);
      await judge(
        context,
        scene,
        new Map([...read].map(([stream, entries]) => [stream, entries.filter((entry) => !isForeign(entry))])),
      );

      const before = await scene.confirmed();
      context.fault('a foreign entry with the last ID that there is');
      const last = '18446744073709551615-18446744073709551615';
      await outbox.redis.xadd(outbox.stream('refusing'), last, 'foreign', 'last');
      await outbox.insert({ aggregateType: 'refusing' });
      await scene.expectHalt(daemon, ['EVENT_REFUSED'], { entries: 'any' });
      // Not past the event; what lies before it may be confirmed.
      const [event] = (await scene.oracle.read()).slice(-1);
      if (event?.aggregateType !== 'refusing') throw new Error('the refused event is not the last one');
      context.note(`confirmed ${before} before, event at ${event.lsn}`);
      if ((await outbox.redis.xlen(outbox.stream('refusing'))) !== 1)
        throw new Error('the refused event stands in the stream');
    },
  },
];

/** What is taken away is copied in the same step, so that the whole can be judged at the end. */
async function takeEntriesAway(
  context: RowContext,
  command: (stream: string) => [string, ...string[]],
): Promise<void> {
  const scene = await context.openScene();
  const { redis, name } = scene.outbox;
  const saved = `${name}:saved`;
  context.defer(async () => {
    const keys = await redis.keys(`${saved}.*`);
    if (keys.length > 0) await redis.del(keys);
  });
  const daemon = await scene.startStreaming();
  scene.startWorkload();
  for (let count = 1; count <= 6; count += 1) {
    await waitForEvents(daemon, count * 80);
    const stream = scene.outbox.stream(context.random.pick(AGGREGATE_TYPES));
    const [verb, ...args] = command(stream);
    const fault = context.fault(`${verb} ${stream}`);
    await redis
      .multi()
      .copy(stream, `${saved}.${count}`)
      .call(verb, ...args)
      .exec();
    await scene.recover(daemon, fault);
  }
  await scene.stopWorkloads();
  await scene.outbox.waitUntilConfirmed();
  const entries = await readEntries(redis, name);
  // The oldest copies come first again.
  const saves = [...(await readEntries(redis, saved)).values()];
  for (const copies of saves.toReversed()) {
    const stream = scene.outbox.stream(copies[0]?.aggregateType);
    const restored = copies.map((entry) => ({ ...entry, stream }));
    entries.set(stream, [...restored, ...(entries.get(stream) ?? [])]);
  }
  await judge(context, scene, entries);
  const result = await daemon.stop();
  if (result.exitCode !== 0) throw new Error(`the relay exited with ${result.exitCode}`);
}

async function judge(
  context: RowContext,
  scene: Scene,
  entries: ReadonlyMap<string, readonly RelayedEvent[]>,
): Promise<void> {
  const exactness = compareStreams(await scene.oracle.read(), entries);
  countExactness(context.tally, exactness);
  expectFlawless(exactness);
  await expectFloorNoted(scene.outbox);
}
