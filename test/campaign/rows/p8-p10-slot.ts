import { waitForEvents } from '../../support/chaos-links.ts';
import type { Daemon } from '../../support/cli.ts';
import { waitFor } from '../../support/wait-for.ts';
import { terminateWalsender } from '../../support/walsender.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';
import type { Scene } from '../scene.ts';

export const rows: readonly Row[] = [
  {
    id: 'P8',
    fault: 'the slot is dropped while the relay is down, or does not look',
    must: 'HALT',
    runs: 2,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      const { daemon } = await behindItsBack(context, scene, async () => {
        context.fault('pg_drop_replication_slot');
        await dropSlot(scene);
        return null;
      });
      await scene.expectHalt(daemon, ['SLOT_MISSING'], { entries: 'any' });
    },
  },
  {
    id: 'P9',
    fault: 'the slot is dropped and made again under its name, with inserts between',
    must: 'HALT',
    runs: 4,
    async run(context) {
      const scene = await context.openScene();
      const { daemon, limit } = await behindItsBack(context, scene, async () => {
        context.fault('the slot is made again');
        await dropSlot(scene);
        await scene.outbox.insert({ aggregateType: 'between' });
        await scene.outbox.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [
          scene.outbox.name,
        ]);
        await scene.outbox.insert({ aggregateType: 'after' });
        return await scene.confirmed();
      });
      // What was committed without a slot is what the halt is about: it stands nowhere.
      await scene.expectHalt(daemon, ['REDIS_BEHIND'], { notPast: limit, entries: 'any' });
      await expectNoEntry(scene, 'after');
    },
  },
  {
    id: 'P10',
    fault: 'the slot is advanced by hand',
    must: 'HALT',
    runs: 4,
    async run(context) {
      const scene = await context.openScene();
      const { daemon, limit } = await behindItsBack(context, scene, async () => {
        context.fault('pg_replication_slot_advance');
        await scene.outbox.insert({ aggregateType: 'skipped' });
        await waitFor('the slot to be free', async () => {
          const advance = 'SELECT pg_replication_slot_advance($1, pg_current_wal_lsn())';
          return await scene.outbox.query(advance, [scene.outbox.name]).catch(() => null);
        });
        await scene.outbox.insert({ aggregateType: 'after' });
        return await scene.confirmed();
      });
      await scene.expectHalt(daemon, ['REDIS_BEHIND'], { notPast: limit, entries: 'any' });
      await expectNoEntry(scene, 'after');
    },
  },
];

/**
 * Streams under load, checks what stands there, then does `work` while the relay is down, or stopped by SIGSTOP with
 * its walsender gone; and lets it come back.
 */
async function behindItsBack<Limit>(
  context: RowContext,
  scene: Scene,
  work: () => Promise<Limit>,
): Promise<{ readonly daemon: Daemon; readonly limit: Limit }> {
  const first = await scene.startStreaming();
  scene.startWorkload();
  await waitForEvents(first, context.random.int(100, 500));
  const isFrozen = context.random.next() < 0.5;
  context.note(isFrozen ? 'the relay is frozen' : 'the relay is stopped');
  if (isFrozen) {
    await scene.stopWorkloads();
    await scene.outbox.waitUntilConfirmed(120_000);
    first.signal('SIGSTOP');
    await terminateWalsender(scene.outbox);
  } else {
    await first.stop();
    await scene.stopWorkloads();
  }
  await scene.expectPrefix();
  const limit = await work();
  if (!isFrozen) return { daemon: scene.start(), limit };
  first.signal('SIGCONT');
  return { daemon: first, limit };
}

async function dropSlot(scene: Scene): Promise<void> {
  await waitFor('the slot to be free', async () => {
    return await scene.outbox
      .query('SELECT pg_drop_replication_slot($1)', [scene.outbox.name])
      .catch(() => null);
  });
}

/** Nothing that lies behind the gap may stand in a stream. */
async function expectNoEntry(scene: Scene, aggregateType: string): Promise<void> {
  const length = await scene.outbox.redis.xlen(scene.outbox.stream(aggregateType));
  if (length > 0) throw new Error(`${length} entries behind the gap`);
}
