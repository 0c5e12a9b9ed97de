import { setTimeout as sleep } from 'node:timers/promises';
import { redisFlavour } from '../../../dev/servers/redis-flavour.ts';
import { follow, startReplica, untilLinked } from '../../../dev/servers/redis-replica.ts';
import { readMetric, streamingCount, waitForEvents } from '../../support/chaos-links.ts';
import type { Daemon } from '../../support/cli.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';

const SHORT_WAITS = 'walrelay_short_waits_total';

export const rows: readonly Row[] = [
  {
    id: 'R19',
    fault:
      'too few replicas answer WAIT, or the disk does not answer WAITAOF: nothing is confirmed, nothing written again',
    must: 'WAIT',
    runs: 2,
    async run(context) {
      await waitForReplica(context);
      await waitForDisk(context);
    },
  },
];

/** With the replica stopped entries are appended and not confirmed; with it back they are, each still once. */
async function waitForReplica(context: RowContext): Promise<void> {
  const redis = await context.startRedis();
  const replica = context.use(await startReplica(redis));
  const scene = await context.openScene({ redis, env: { WALRELAY_DURABILITY: 'replicas:1' } });
  const daemon = await scene.startStreaming();
  scene.startWorkload({ bigRows: 500 });
  for (let count = 1; count <= 2; count += 1) {
    await waitForEvents(daemon, count * 100);
    const waits = await readMetric(daemon, SHORT_WAITS);
    const isKilled = context.random.next() < 0.5;
    const fault = context.fault(`replica ${isKilled ? 'killed' : 'stopped'}`, { isKill: isKilled });
    if (isKilled) await replica.kill();
    else replica.pause();
    // What was on its way when the replica went may still be confirmed.
    await scene.deliverCanary();
    await sleep(300);
    const confirmed = await scene.outbox.confirmedLsn();
    await scene.deliverCanary();
    await untilWaited(daemon, waits);
    if ((await scene.outbox.confirmedLsn()) !== confirmed) throw new Error('confirmed without the replica');
    if (isKilled) {
      await replica.start();
      await follow(replica, redis.port);
    } else {
      replica.resume();
      await untilLinked(replica);
    }
    fault.over();
    await scene.recover(daemon, fault);
    await scene.outbox.waitUntilConfirmed();
  }
  if (streamingCount(daemon) !== 1) throw new Error('a short count is no reason for a new session');
  await scene.settle(daemon);
}

/** With a Redis that leaves its disk to the system nothing is confirmed; when it syncs again, all of it is. */
async function waitForDisk(context: RowContext): Promise<void> {
  const binary = await redisFlavour(context.random.pick(['valkey-8', 'redis-8']));
  if ('missing' in binary) {
    context.note(`no WAITAOF: ${binary.missing}`);
    return;
  }
  const redis = await context.startRedis({ binary });
  const scene = await context.openScene({ redis, env: { WALRELAY_DURABILITY: 'fsync' } });
  const daemon = await scene.startStreaming();
  scene.startWorkload({ bigRows: 500 });
  for (let count = 1; count <= 2; count += 1) {
    await waitForEvents(daemon, count * 100);
    const waits = await readMetric(daemon, SHORT_WAITS);
    const fault = context.fault(`${binary.product} syncs nothing`);
    await scene.outbox.redis.config('SET', 'appendfsync', 'no');
    await scene.deliverCanary();
    await sleep(300);
    const confirmed = await scene.outbox.confirmedLsn();
    await scene.deliverCanary();
    await untilWaited(daemon, waits);
    if ((await scene.outbox.confirmedLsn()) !== confirmed) throw new Error('confirmed without the disk');
    await scene.outbox.redis.config('SET', 'appendfsync', context.random.pick(['always', 'everysec']));
    fault.over();
    await scene.recover(daemon, fault);
    await scene.outbox.waitUntilConfirmed();
  }
  if (streamingCount(daemon) !== 1) throw new Error('a short count is no reason for a new session');
  await scene.settle(daemon);
}

/** A wait has ended without the replicas or the disk, and another one goes on. */
async function untilWaited(daemon: Daemon, before: number): Promise<void> {
  await waitFor('a wait that is short', async () => (await readMetric(daemon, SHORT_WAITS)) > before);
}
