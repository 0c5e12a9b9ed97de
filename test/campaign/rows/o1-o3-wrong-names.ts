import { waitForEvents } from '../../support/chaos-links.ts';
import { compareStreams, isBefore, type RelayedEvent } from '../../support/compare-streams.ts';
import { expectFloorNoted, readEntries } from '../../support/exactness.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'O1',
    fault: 'wrong slot, publication, table or database',
    must: 'REFUSE',
    runs: 1,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      const database = new URL(scene.outbox.databaseUrl);
      database.pathname = '/no_such_database';
      for (const [env, code] of [
        [{ WALRELAY_SLOT: 'no_such_slot' }, 'SLOT_MISSING'],
        [{ WALRELAY_PUBLICATION: 'no_such_publication' }, 'PUBLICATION_MISSING'],
        [{ WALRELAY_TABLE: 'no_such_table' }, 'TABLE_MISSING'],
        [{ DATABASE_URL: database.href }, 'PG_DATABASE_MISSING'],
      ] as const) {
        context.fault(Object.keys(env).join());
        await scene.expectRefusal([code], env);
      }
      await scene.settle(await scene.startStreaming());
    },
  },
  {
    id: 'O2',
    fault: 'another stream template after kill -9, with batches not confirmed',
    must: 'OK',
    runs: 2,
    async run(context) {
      const scene = await context.openScene();
      scene.startWorkload();
      const before = scene.start();
      await waitForEvents(before, 300);
      const fault = context.fault('kill -9, then a template of one stream', { isKill: true });
      await before.kill();
      const after = await scene.startStreaming({ WALRELAY_STREAM: scene.outbox.stream('all') });
      fault.over();
      await waitForEvents(after, 300);
      await scene.stopWorkloads();
      await scene.outbox.waitUntilConfirmed(120_000);

      // Each event once, in the stream of one template or of the other; the old ones end where the new one begins.
      const expected = await scene.oracle.read();
      const streams = await readEntries(scene.outbox.redis, scene.outbox.name);
      const moved = streams.get(scene.outbox.stream('all')) ?? [];
      const isMoved = new Set(moved.map(({ id }) => id));
      const exactness = compareStreams(
        expected.map((event) =>
          isMoved.has(event.id) ? { ...event, stream: scene.outbox.stream('all') } : event,
        ),
        streams,
      );
      scene.judge(exactness);
      await expectFloorNoted(scene.outbox);
      const newestOld = newest(
        [...streams]
          .filter(([stream]) => stream !== scene.outbox.stream('all'))
          .map(([, entries]) => entries),
      );
      const oldestNew = moved[0];
      if (newestOld === undefined || oldestNew === undefined || !isBefore(newestOld, oldestNew))
        throw new Error('the streams of the old template go on behind the first event of the new one');
      await after.stop();
    },
  },
  {
    id: 'O3',
    fault: 'the lane state was written by a newer Walrelay',
    must: 'REFUSE',
    runs: 1,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      await scene.startStreaming().then((daemon) => daemon.stop());
      const { redis, metaKey } = scene.outbox;
      const version = (await redis.hget(metaKey, 'v')) ?? '';
      context.fault('v = 99');
      await redis.hset(metaKey, 'v', '99');
      await scene.expectRefusal(['LANE_VERSION']);
      await redis.hset(metaKey, 'v', version);
      const daemon = await scene.startStreaming();
      await scene.deliverCanary();
      await scene.settle(daemon);
    },
  },
];

function newest(streams: readonly (readonly RelayedEvent[])[]): RelayedEvent | undefined {
  return streams
    .flatMap((entries) => entries.at(-1) ?? [])
    .reduce<RelayedEvent | undefined>(
      (last, entry) => (last === undefined || isBefore(last, entry) ? entry : last),
      undefined,
    );
}
