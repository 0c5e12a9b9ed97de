import { type PostgresMajorVersion, findPostgresBinaries } from '../../../dev/servers/postgres-binaries.ts';
import { serverUser } from '../../../dev/servers/server-user.ts';
import { streamingCount, waitForEvents } from '../../support/chaos-links.ts';
import { openPostgresPair, type PostgresPair, streamsAgain } from '../postgres-pair.ts';
import type { Row } from '../row.ts';
import type { Fault, RowContext } from '../row-context.ts';

export const rows: readonly Row[] = [
  {
    id: 'P27',
    fault: 'the primary is killed under load, its standby with the synchronised slot promoted',
    must: 'OK',
    runs: 3,
    impossible: needsFailoverSlots,
    async run(context) {
      const pair = await openPostgresPair(context, { isSynchronized: true });
      const { scene, daemon } = pair;
      scene.startWorkload();
      await waitForEvents(daemon, context.random.int(200, 1_000));
      await failOver(context, pair);
      const timeline = await scene.outbox.redis.hget(scene.outbox.metaKey, 'timeline');
      if (timeline !== '2') throw new Error(`the noted timeline is ${timeline}, not 2`);
      await scene.settle(daemon);
    },
  },
  {
    id: 'P28',
    fault: 'a standby that lacks relayed events is promoted',
    must: 'HALT',
    runs: 4,
    impossible: needsFailoverSlots,
    async run(context) {
      // Without synchronized_standby_slots the relay runs ahead of the standby; without a failover slot it has none.
      const hasFailoverSlot = context.random.next() < 0.5;
      const { primary, standby, scene, daemon, pointTo } = await openPostgresPair(context, {
        isSynchronized: false,
        hasFailoverSlot,
      });
      scene.startWorkload();
      await waitForEvents(daemon, 200);
      await standby.stop();
      await scene.deliverCanary();
      await scene.stopWorkloads();
      await scene.outbox.waitUntilConfirmed(120_000);
      await scene.expectExact();
      const before = await scene.outbox.redis.xlen(scene.outbox.stream('canary'));
      context.fault('the primary is killed, the lagging standby promoted', { isKill: true });
      await primary.kill();
      await standby.start();
      await standby.promote();
      await pointTo(standby);
      const confirmed = hasFailoverSlot ? await scene.confirmed() : null;
      await scene.outbox.insert({ aggregateType: 'canary' });
      await scene.expectHalt(daemon, [hasFailoverSlot ? 'TIMELINE_FORK' : 'SLOT_MISSING'], {
        notPast: confirmed,
        // The streams hold what this server never had: that is what the halt is about.
        entries: 'any',
      });
      const after = await scene.outbox.redis.xlen(scene.outbox.stream('canary'));
      if (after !== before) throw new Error(`${after - before} events of the other history were appended`);
    },
  },
  {
    id: 'P29',
    fault: 'the old primary returns under the address after a promotion',
    must: 'HALT',
    runs: 2,
    impossible: needsFailoverSlots,
    async run(context) {
      const pair = await openPostgresPair(context, { isSynchronized: true });
      const { primary, standby, scene, daemon, pointTo } = pair;
      scene.startWorkload();
      await waitForEvents(daemon, context.random.int(200, 600));
      await failOver(context, pair);
      await scene.stopWorkloads();
      await scene.outbox.waitUntilConfirmed(120_000);

      await primary.start();
      const fault = context.fault('the address points to the old primary again');
      await pointTo(primary);
      // The relay's slot there is where it was when that server died.
      await scene.expectHalt(daemon, ['TIMELINE_BEHIND'], {
        notPast: await scene.confirmed(),
        entries: 'any',
      });
      await pointTo(standby);
      fault.over();
      const again = await scene.startStreaming();
      await scene.recover(again, fault);
      await scene.settle(again);
    },
  },
];

/** SIGKILL of the primary, promotion, and the address moves; the relay goes on by itself. */
async function failOver(context: RowContext, pair: PostgresPair): Promise<Fault> {
  const { primary, standby, scene, daemon, pointTo } = pair;
  const streamed = streamingCount(daemon);
  const fault = context.fault('kill -9 of the primary, promotion of the standby', { isKill: true });
  await primary.kill();
  await standby.promote();
  await pointTo(standby);
  fault.over();
  await streamsAgain(daemon, streamed);
  await scene.recover(daemon, fault);
  return fault;
}

function needsFailoverSlots(): string | null {
  const user = serverUser();
  const versions: readonly PostgresMajorVersion[] = [17, 18];
  const hasOne = versions.some((version) => findPostgresBinaries(user, version) !== undefined);
  return hasOne ? null : 'failover slots need PostgreSQL 17 or later, which is not here';
}
