import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisServer } from '../../../dev/servers/redis.ts';
import { callRedis } from '../../../dev/servers/redis-call.ts';
import { promote, startReplica } from '../../../dev/servers/redis-replica.ts';
import { parseLsn } from '../../../src/core/lsn.ts';
import { waitForEvents } from '../../support/chaos-links.ts';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { confirmedAtRest } from '../../support/slot-at-rest.ts';
import { waitFor } from '../../support/wait-for.ts';
import { refusedForAWhile } from '../refused-for-a-while.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';

const WINDOW_MS = 5_000;

export const rows: readonly Row[] = [
  {
    id: 'R17',
    fault: 'a lagging replica promoted (REPLICAOF NO ONE): within the replay window, and beyond',
    must: ['OK', 'HALT'],
    runs: 2,
    async run(context) {
      await promoteWithinWindow(context);
      await promoteBeyondWindow(context);
    },
  },
  {
    id: 'R18',
    fault: 'connected to a replica (READONLY), which is made a primary again',
    must: 'OK',
    runs: 2,
    async run(context) {
      const { scene, daemon } = await context.openUnderLoad({ workload: { bigRows: 1_000 } });
      const { outbox } = scene;
      await refusedForAWhile(
        { context, scene, daemon },
        {
          fault: 'REPLICAOF',
          code: 'REDIS_NOT_PRIMARY',
          times: 4,
          events: 80,
          // Of a primary that does not answer: nothing is synchronised, nothing lost.
          begin: () => outbox.redis.replicaof('127.0.0.1', 1),
          meanwhile: async () => {
            const confirmed = await confirmedAtRest(outbox);
            await outbox.insert();
            await sleep(context.random.int(0, 500));
            if ((await outbox.confirmedLsn()) !== confirmed) throw new Error('confirmed without a primary');
          },
          end: () => outbox.redis.replicaof('NO', 'ONE'),
        },
      );
      await scene.settle(daemon);
    },
  },
  {
    id: 'R20',
    fault: 'NOREPLICAS: fewer replicas than min-replicas-to-write',
    must: 'OK',
    runs: 2,
    async run(context) {
      const { scene, daemon } = await context.openUnderLoad({ workload: { bigRows: 1_000 } });
      const { redis: client } = scene.outbox;
      await refusedForAWhile(
        { context, scene, daemon },
        {
          fault: 'min-replicas-to-write 1',
          code: 'REDIS_NOT_READY',
          times: 3,
          events: 80,
          begin: () => client.config('SET', 'min-replicas-to-write', '1'),
          end: () => client.config('SET', 'min-replicas-to-write', '0'),
        },
      );
      if (!daemon.stderr.includes('NOREPLICAS')) throw new Error('the relay has never met NOREPLICAS');
      await scene.settle(daemon);
    },
  },
];

interface Pair {
  readonly primary: RedisServer;
  readonly replica: RedisServer;
  /** Between the two. */
  readonly replication: FaultProxy;
  /** Where clients find the primary, whichever it is. */
  readonly address: FaultProxy;
  readonly url: string;
}

async function startPair(context: RowContext): Promise<Pair> {
  const primary = await context.startRedis();
  const replication = context.use(await FaultProxy.start(primary.url));
  const replica = context.use(await startReplica(primary, { throughPort: replication.port }));
  const address = context.use(await FaultProxy.start(primary.url));
  return { primary, replica, replication, address, url: address.url(primary.url) };
}

/** The primary is lost; the replica takes its place with what it has. */
async function failOver({ primary, replica, address }: Pair, whileDead: () => Promise<void>): Promise<void> {
  await primary.kill();
  await whileDead();
  await promote(replica);
  address.redirect(replica.url);
  address.resetAll();
}

async function promoteWithinWindow(context: RowContext): Promise<void> {
  const pair = await startPair(context);
  const scene = await context.openScene({
    redisUrl: pair.url,
    env: { WALRELAY_REPLAY_WINDOW_MS: String(WINDOW_MS) },
  });
  const daemon = await scene.startStreaming();
  scene.startWorkload({ bigRows: 1_000 });
  await waitForEvents(daemon, 200);
  await untilHeard(pair);
  const lagMs = context.random.int(100, WINDOW_MS * 0.6);
  context.note(`the replica lags ${lagMs} ms`);
  pair.replication.blackHole(true);
  const before = await callRedis(pair.primary.url, 'XLEN', scene.outbox.stream('order'));
  await sleep(lagMs);
  await waitFor('events that the replica lacks', async () => {
    return Number(await callRedis(pair.primary.url, 'XLEN', scene.outbox.stream('order'))) > Number(before);
  });
  const fault = context.fault('the lagging replica promoted', { isKill: true });
  await failOver(pair, async () => undefined);
  fault.over();
  await scene.recover(daemon, fault);
  await scene.settle(daemon);
}

async function promoteBeyondWindow(context: RowContext): Promise<void> {
  const pair = await startPair(context);
  const windowMs = context.random.pick(['0', '500']);
  const scene = await context.openScene({
    redisUrl: pair.url,
    env: { WALRELAY_REPLAY_WINDOW_MS: windowMs },
  });
  const daemon = await scene.startStreaming();
  scene.startWorkload({ bigRows: 1_000 });
  await waitForEvents(daemon, 200);
  await untilHeard(pair);
  pair.replication.blackHole(true);
  const floor = await scene.floor();
  await waitFor('a confirmation past that', async () => (await scene.confirmed()) > floor);
  await scene.stopWorkloads();
  await scene.outbox.waitUntilConfirmed();
  context.fault(`a replica promoted that lacks confirmed entries (window ${windowMs} ms)`, { isKill: true });
  let confirmed = '';
  await failOver(pair, async () => {
    confirmed = await confirmedAtRest(scene.outbox);
  });
  await scene.expectHalt(daemon, ['REDIS_BEHIND'], { notPast: parseLsn(confirmed), entries: 'any' });
}

/** What the primary has now, the replica has. */
async function untilHeard({ primary }: Pair): Promise<void> {
  await waitFor('the replica to be in step', async () => {
    return Number(await callRedis(primary.url, 'WAIT', 1, 1_000)) === 1;
  });
}
