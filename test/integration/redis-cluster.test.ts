import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RedisCluster, startCluster } from '../../dev/servers/redis-cluster.ts';
import { waitForEvents, waitForRelay, waitForSessions } from '../support/chaos-links.ts';
import { runCli } from '../support/cli.ts';
import { ClusterStreams, createClusterOutbox } from '../support/cluster-outbox.ts';
import { Oracle } from '../support/exactness.ts';
import { MESSAGES_ENV, runEmitSql } from '../support/message-outbox.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';
import { Workload } from '../support/workload.ts';

let cluster: RedisCluster;

beforeAll(async () => {
  cluster = await startCluster();
});

afterAll(async () => {
  await cluster?.dispose();
});

const QUICK = { WALRELAY_BACKOFF_MIN_MS: '20' };

function load(outbox: Outbox): Workload {
  return Workload.start({ databaseUrl: outbox.databaseUrl, seed: 7, bigEvery: 20, bigRows: 2000 });
}

test('streams of several lanes on several nodes: exact, also when the relay is killed again and again', async () => {
  await using outbox = await createClusterOutbox(cluster);
  const streams = new ClusterStreams(outbox, cluster);
  const oracle = await Oracle.create(outbox);
  await using workload = load(outbox);
  for (let life = 1; life <= 4; life += 1) {
    const killed = outbox.start({ ...QUICK, ...streams.streamEnv() });
    await waitForEvents(killed, 200);
    await killed.kill();
  }
  const daemon = outbox.start({ ...QUICK, ...streams.streamEnv() });
  await waitForEvents(daemon, 200);
  await workload.stop();
  await outbox.waitUntilConfirmed();
  expect(await streams.expectExact(oracle)).toBeGreaterThan(800);
  expect((await daemon.stop()).exitCode).toBe(0);

  const control = await outbox.redis.hgetall(outbox.metaKey);
  const lanes = Object.keys(control).filter((field) => field.startsWith('lane:'));
  expect(lanes.sort()).toEqual(['lane:customer', 'lane:invoice', 'lane:order', 'lane:shipment']);
  for (const lane of lanes) {
    const tag = lane.slice('lane:'.length);
    expect(await outbox.redis.hget(`${outbox.metaKey}:{${tag}}`, 'watermark')).toMatch(/^[0-9A-F]{28}$/);
  }
});

test('messages go to the lanes of a cluster, each once and in order, also when the relay is killed', async () => {
  await using outbox = await createClusterOutbox(cluster, MESSAGES_ENV, { isInitialized: false });
  await runEmitSql(outbox);
  await outbox.init();
  const streams = new ClusterStreams(outbox, cluster);
  const emitted = new Map<string, string[]>(['order', 'customer', 'invoice'].map((type) => [type, []]));
  const emitSome = async () => {
    for (let count = 0; count < 50; count += 1) {
      for (const [type, ids] of emitted) {
        const [row] = await outbox.query<{ id: string }>(
          "SELECT outbox.emit($1, '1', 'created', '{}') AS id",
          [type],
        );
        ids.push(row?.id ?? '');
      }
    }
  };
  for (let life = 1; life <= 3; life += 1) {
    const killed = outbox.start({ ...QUICK, ...streams.streamEnv() });
    await killed.streaming();
    await emitSome();
    await killed.kill();
  }
  const daemon = outbox.start({ ...QUICK, ...streams.streamEnv() });
  await emitSome();
  await outbox.waitUntilConfirmed();
  const relayed = await streams.read();
  for (const [type, ids] of emitted)
    expect(relayed.get(outbox.stream(type))?.map(({ id }) => id)).toEqual(ids);
  expect((await daemon.stop()).exitCode).toBe(0);
});

test('a master that is killed under load: its replica takes over, and what it had not heard is read again', async () => {
  await using outbox = await createClusterOutbox(cluster);
  const streams = new ClusterStreams(outbox, cluster);
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({ ...QUICK, ...streams.streamEnv(), WALRELAY_REPLAY_WINDOW_MS: '5000' });
  await using workload = load(outbox);
  await waitForEvents(daemon, 300);
  const master = await cluster.ownerOf(await cluster.slotOf(`${outbox.name}.{order}`));
  const [replica] = await cluster.replicasOf(master);
  await master.kill();
  await waitForSessions(daemon, 2);
  await waitForEvents(daemon, 1000);
  await workload.stop();
  await outbox.waitUntilConfirmed(30_000);
  expect(await streams.expectExact(oracle)).toBeGreaterThan(500);
  expect((await daemon.stop()).exitCode).toBe(0);
  expect(replica).toBeDefined();
  await master.start();
  await cluster.untilOk();
});

test('a slot that moves while events flow: the session ends, and the next one writes to its new node', async () => {
  await using outbox = await createClusterOutbox(cluster);
  const streams = new ClusterStreams(outbox, cluster);
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({ ...QUICK, ...streams.streamEnv() });
  await using workload = load(outbox);
  await waitForEvents(daemon, 300);
  const slot = await cluster.slotOf(`${outbox.name}.{order}`);
  const owner = await cluster.ownerOf(slot);
  const masters = await Promise.all(
    cluster.nodes.map(async (node) => ((await cluster.replicasOf(node)).length > 0 ? node : null)),
  );
  const to = masters.find((node) => node !== null && node !== owner);
  if (to === undefined || to === null) throw new Error('no other master');
  const migration = await cluster.migration(slot, to);
  await migration.begin();
  // One of the lane's keys first: its scripts meet a slot that is torn in two.
  const keys = await migration.keysLeft();
  await migration.moveKeys(keys.slice(0, 1));
  await waitForRelay(daemon, 'a session that ends', () => daemon.log.some((line) => line.err !== undefined));
  await migration.moveKeys(await migration.keysLeft());
  await migration.finish();
  await waitFor('the lane on its new node', async () => (await cluster.ownerOf(slot)) === to);
  await waitForEvents(daemon, 1000);
  await workload.stop();
  await outbox.waitUntilConfirmed(30_000);
  expect(await streams.expectExact(oracle)).toBeGreaterThan(500);
  expect((await daemon.stop()).exitCode).toBe(0);
});

test('an idle lane that lost its tail is noticed at the next start, and a new epoch says so', async () => {
  await using outbox = await createClusterOutbox(cluster);
  const streams = new ClusterStreams(outbox, cluster);
  const settings = { ...QUICK, ...streams.streamEnv() };
  const first = outbox.start(settings);
  await outbox.insert({ aggregateType: 'order' });
  await waitForEvents(first, 1);
  await outbox.waitUntilConfirmed();
  const laneKey = `${outbox.metaKey}:{order}`;
  const before = await outbox.redis.hgetall(laneKey);
  await outbox.insert({ aggregateType: 'order' });
  await waitForEvents(first, 2);
  await outbox.insert({ aggregateType: 'invoice' });
  await waitForEvents(first, 3);
  await outbox.waitUntilConfirmed();
  expect((await first.stop()).exitCode).toBe(0);

  // The node comes back as it was before the second order, entries and lane state together.
  const [, last] = await outbox.redis.xrange(`${outbox.name}.{order}`, '-', '+');
  await outbox.redis.xdel(`${outbox.name}.{order}`, String(last?.[0]));
  await outbox.redis.del(laneKey);
  await outbox.redis.hset(laneKey, before);

  const refused = await runCli(['run'], { ...outbox.env, ...settings, WALRELAY_HTTP_PORT: '0' });
  expect(refused.exitCode).toBe(67);
  expect(refused.stderr).toContain('REDIS_BEHIND');
  expect(refused.stderr).toContain(laneKey);

  const accepted = await runCli(['epoch', 'accept', '--yes'], { ...outbox.env, ...streams.streamEnv() });
  expect(accepted.exitCode).toBe(0);
  expect(accepted.stdout).toContain(`The lane ${laneKey} has lost events`);
  const second = outbox.start(settings);
  await outbox.insert({ aggregateType: 'order' });
  await waitForEvents(second, 1);
  expect(await outbox.redis.xlen(`${outbox.name}.{order}`)).toBe(2);
});

test('without WALRELAY_REDIS_MODE=cluster a node of a cluster is refused by name, and the other way round', async () => {
  await using outbox = await createOutbox({
    redisUrl: cluster.url,
    isRedisOwn: true,
    isInitialized: false,
  });
  const alone = await runCli(['init', '--create-table'], outbox.env);
  expect(alone.exitCode).toBe(66);
  expect(alone.stderr).toContain('WALRELAY_REDIS_MODE=cluster');
  await using single = await createOutbox({ isInitialized: false, env: { WALRELAY_REDIS_MODE: 'cluster' } });
  const clustered = await runCli(['init', '--create-table'], single.env);
  expect(clustered.exitCode).toBe(66);
});
