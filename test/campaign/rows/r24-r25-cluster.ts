import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterNode, type RedisCluster, startCluster } from '../../../dev/servers/redis-cluster.ts';
import { cutReplication, startReplica } from '../../../dev/servers/redis-replica.ts';
import { startSentinels } from '../../../dev/servers/redis-sentinels.ts';
import { parseLsn } from '../../../src/core/lsn.ts';
import { waitForEvents } from '../../support/chaos-links.ts';
import type { Daemon, Env } from '../../support/cli.ts';
import { FaultProxy } from '../../support/fault-proxy.ts';
import { countErrors, waitForError } from '../../support/relay-errors.ts';
import { confirmedAtRest } from '../../support/slot-at-rest.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';
import type { Scene } from '../scene.ts';

const AGGREGATE_TYPES = ['order', 'customer', 'invoice', 'shipment'] as const;
const WINDOW_MS = 5_000;
/** What a relay says when a slot is on its way or a master is not one any more. */
const ELSEWHERE = [
  'REDIS_NOT_PRIMARY',
  'REDIS_NOT_READY',
  'REDIS_CONNECTION_LOST',
  'REDIS_UNREACHABLE',
] as const;

export const rows: readonly Row[] = [
  {
    id: 'R24',
    fault: 'cluster: slots migrated under load (ASK, TRYAGAIN, MOVED)',
    must: 'OK',
    runs: 2,
    async run(context) {
      const { cluster, scene, daemon } = await startScene(context);
      scene.startWorkload({ bigRows: 1_000 });
      const stages = context.random.shuffle(['open', 'some', 'all', 'all', 'control'] as const);
      for (const [index, stage] of stages.entries()) {
        await waitForEvents(daemon, (index + 1) * 60);
        const stream = scene.outbox.stream(context.random.pick(AGGREGATE_TYPES));
        const slot = await cluster.slotOf(stage === 'control' ? scene.outbox.metaKey : stream);
        const owner = await cluster.ownerOf(slot);
        const to = context.random.pick(cluster.nodes.slice(0, 3).filter(({ id }) => id !== owner.id));
        const migration = await cluster.migration(slot, to);
        const met = countErrors(daemon, ...ELSEWHERE);
        const fault = context.fault(`slot ${slot} migrated, keys moved before: ${stage}`);
        await migration.begin();
        if (stage === 'some') {
          // Stream and lane state stand on two nodes: TRYAGAIN.
          await migration.moveKeys([context.random.pick(await migration.keysLeft())]);
          await waitForError(daemon, ELSEWHERE, met + 1);
        } else if (stage === 'all' || stage === 'control') {
          await migration.moveKeys(await migration.keysLeft());
          await waitForError(daemon, ELSEWHERE, met + 1);
        }
        await sleep(context.random.int(0, 300));
        await migration.finish();
        fault.over();
        await scene.recover(daemon, fault);
      }
      for (const word of ['MOVED', 'ASK', 'TRYAGAIN']) {
        if (!daemon.stderr.includes(word)) context.note(`the relay has not met ${word} this time`);
      }
      if (daemon.stderr.includes('CROSSSLOT')) throw new Error('a batch had keys of two slots');
      await scene.settle(daemon);
    },
  },
  {
    id: 'R25',
    fault: 'failover by a cluster (FORCE, TAKEOVER) and by sentinels: within the replay window, and beyond',
    must: ['OK', 'HALT'],
    runs: 2,
    limitSeconds: 400,
    async run(context) {
      await failOverWithinWindow(context);
      await failOverBeyondWindow(context);
      await failOverBySentinels(context);
    },
  },
];

interface ClusterScene {
  readonly cluster: RedisCluster;
  readonly scene: Scene;
  readonly daemon: Daemon;
  readonly env: Env;
}

async function startScene(context: RowContext, windowMs = WINDOW_MS): Promise<ClusterScene> {
  const cluster = context.use(await startCluster());
  const env = {
    WALRELAY_REDIS_MODE: 'cluster',
    WALRELAY_REDIS_NODES: cluster.addresses.slice(1).join(','),
    WALRELAY_REPLAY_WINDOW_MS: String(windowMs),
  };
  const scene = await context.openScene({ redisUrl: cluster.url, env });
  const direct = { REDIS_URL: cluster.url };
  // The nodes name each other by their own addresses: no proxy fits in between.
  const daemon = await scene.startStreaming(direct);
  return { cluster, scene, daemon, env: direct };
}

interface CutNode {
  readonly master: ClusterNode;
  readonly replica: ClusterNode;
}

/** The master that holds a stream, and its replica, which from now on hears nothing. */
async function cutReplicaOf(cluster: RedisCluster, stream: string): Promise<CutNode> {
  const master = await cluster.ownerOf(await cluster.slotOf(stream));
  const [replica] = await cluster.replicasOf(master);
  if (replica === undefined) throw new Error(`the master on port ${master.port} has no replica`);
  await cutReplication(master, replica);
  return { master, replica };
}

async function failOverWithinWindow(context: RowContext): Promise<void> {
  const { cluster, scene, daemon } = await startScene(context);
  scene.startWorkload({ bigRows: 1_000 });
  await waitForEvents(daemon, 200);
  const stream = scene.outbox.stream(context.random.pick(AGGREGATE_TYPES));
  const { master, replica } = await cutReplicaOf(cluster, stream);
  const lost = await scene.outbox.redis.xlen(stream);
  await waitFor('entries that the replica lacks', async () => {
    return (await scene.outbox.redis.xlen(stream)) > lost;
  });
  const how = context.random.pick(['FORCE', 'TAKEOVER'] as const);
  const isKilled = how === 'FORCE' || context.random.next() < 0.5;
  const state = isKilled ? 'dead' : 'alive';
  const fault = context.fault(`${how}, a lagging replica, the master ${state}`, { isKill: isKilled });
  if (isKilled) await master.kill();
  await cluster.failover(replica, how);
  fault.over();
  await scene.recover(daemon, fault);
  if (isKilled) {
    await master.start();
    await cluster.untilOk();
  }
  await scene.settle(daemon);
}

async function failOverBeyondWindow(context: RowContext): Promise<void> {
  const { cluster, scene, daemon, env } = await startScene(context, context.random.pick([0, 500]));
  scene.startWorkload({ bigRows: 1_000 });
  await waitForEvents(daemon, 200);
  await scene.outbox.waitUntilConfirmed();
  const stream = scene.outbox.stream(context.random.pick(AGGREGATE_TYPES));
  const { master, replica } = await cutReplicaOf(cluster, stream);
  const length = await scene.outbox.redis.xlen(stream);
  await waitFor('entries that the replica lacks', async () => {
    return (await scene.outbox.redis.xlen(stream)) > length;
  });
  await scene.stopWorkloads();
  await scene.outbox.waitUntilConfirmed();
  context.fault('TAKEOVER by a replica that lacks confirmed entries', { isKill: true });
  await master.kill();
  const confirmed = parseLsn(await confirmedAtRest(scene.outbox));
  await cluster.failover(replica, 'TAKEOVER');
  // Of the other lanes nothing is lost: the one that lost its tail is noticed though nothing is written to it.
  await scene.expectHalt(daemon, ['REDIS_BEHIND'], { notPast: confirmed, entries: 'any', env });
}

async function failOverBySentinels(context: RowContext): Promise<void> {
  const primary = await context.startRedis();
  const replica = context.use(await startReplica(primary));
  const sentinels = context.use(await startSentinels({ master: primary, replicas: [replica] }));
  // For the checks, which know nothing of sentinels.
  const address = context.use(await FaultProxy.start(primary.url));
  const env = {
    WALRELAY_REDIS_MODE: 'sentinel',
    WALRELAY_REDIS_NODES: sentinels.addresses.slice(1).join(','),
    WALRELAY_REDIS_SENTINEL_MASTER: sentinels.masterName,
    WALRELAY_REDIS_SENTINEL_PASSWORD: sentinels.password,
    WALRELAY_REPLAY_WINDOW_MS: String(WINDOW_MS),
  };
  const url = new URL(primary.url);
  url.port = String(sentinels.nodes[0]?.port);
  const scene = await context.openScene({ redisUrl: address.url(primary.url) });
  const daemon = await scene.startStreaming({ ...env, REDIS_URL: url.href });
  scene.startWorkload({ bigRows: 1_000 });
  for (const [index, how] of context.random.shuffle(['asked', 'killed'] as const).entries()) {
    await waitForEvents(daemon, (index + 1) * 200);
    const port = await sentinels.masterPort();
    const [from, to] = port === primary.port ? [primary, replica] : [replica, primary];
    const fault = context.fault(`failover by sentinels, ${how}`, { isKill: how === 'killed' });
    if (how === 'killed') await from.kill();
    else await sentinels.failover();
    await sentinels.untilMaster(to);
    address.redirect(to.url);
    address.resetAll();
    fault.over();
    await scene.recover(daemon, fault);
    if (how === 'killed') await from.start();
  }
  await scene.settle(daemon);
}
