import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { untilGone } from '../../dev/servers/process-tree.ts';
import { startRedis } from '../../dev/servers/redis.ts';
import { callRedis, redisInfo, untilServers } from '../../dev/servers/redis-call.ts';
import { type ClusterNode, startCluster } from '../../dev/servers/redis-cluster.ts';
import { REDIS_FLAVOURS, redisFlavour } from '../../dev/servers/redis-flavour.ts';
import {
  allowReplication,
  cutReplication,
  promote,
  startReplica,
  untilLinked,
} from '../../dev/servers/redis-replica.ts';
import { startSentinels } from '../../dev/servers/redis-sentinels.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { waitFor } from '../support/wait-for.ts';

describe.each(REDIS_FLAVOURS)('%s', (flavour) => {
  test('runs beside the machine’s own server, is what it is called, and knows WAITAOF from 7.2 on', async ({
    skip,
  }) => {
    const binary = await redisFlavour(flavour);
    if ('missing' in binary) return skip(binary.missing);
    await using server = await startRedis({ binary });
    const [name, version] = flavour.split('-') as [string, string];
    expect(server.description.toLowerCase()).toMatch(
      new RegExp(`^${name} ${version.replace('.', '\\.')}\\.`),
    );
    const redis = await redisInfo(server.url, 'server');
    expect(redis['valkey_version'] ?? redis['redis_version']).toMatch(new RegExp(`^${version}\\.`));
    await callRedis(server.url, 'SET', 'key', 'value');
    const waited = await callRedis(server.url, 'WAITAOF', 1, 0, 5000).catch(String);
    const knowsWaitAof = !String(waited).includes('unknown command');
    expect({ waited: knowsWaitAof ? waited : null, knowsWaitAof }).toEqual(
      Number(version) < 7.2 ? { waited: null, knowsWaitAof: false } : { waited: [1, 0], knowsWaitAof: true },
    );
  });
});

describe('a replica', () => {
  test('behind a proxy lags, and when it is promoted what it had not heard is gone', async () => {
    await using primary = await startRedis();
    await using link = await FaultProxy.start(primary.url);
    await using replica = await startReplica(primary, { throughPort: link.port });
    await callRedis(primary.url, 'SET', 'key', 'heard');
    await waitFor('the copy', async () => (await callRedis(replica.url, 'GET', 'key')) === 'heard');
    link.blackHole(true);
    await callRedis(primary.url, 'SET', 'key', 'unheard');
    expect(await callRedis(primary.url, 'WAIT', 1, 200)).toBe(0);
    await promote(replica);
    expect(await callRedis(replica.url, 'GET', 'key')).toBe('heard');
    await callRedis(replica.url, 'SET', 'key', 'mine');
  });

  test('with its link cut hears nothing until it is allowed to', async () => {
    await using primary = await startRedis();
    await using replica = await startReplica(primary);
    await cutReplication(primary, replica);
    await callRedis(primary.url, 'SET', 'key', 'value');
    expect(await callRedis(replica.url, 'GET', 'key')).toBeNull();
    await allowReplication(replica);
    await untilLinked(replica);
    expect(await callRedis(replica.url, 'GET', 'key')).toBe('value');
  });
});

test('sentinels promote the replica of a dead primary, and join the two again when it comes back', async () => {
  await using primary = await startRedis();
  await using replica = await startReplica(primary);
  await using sentinels = await startSentinels({ master: primary, replicas: [replica] });
  expect(await sentinels.masterPort()).toBe(primary.port);
  await callRedis(primary.url, 'SET', 'key', 'value');
  expect(await callRedis(primary.url, 'WAIT', 1, 5000)).toBe(1);
  await primary.kill();
  await sentinels.untilMaster(replica);
  expect(await callRedis(replica.url, 'GET', 'key')).toBe('value');
  await primary.start();
  // Which of the two is up to the sentinels: on a busy machine they may have changed their minds meanwhile.
  await untilServers(
    'one to follow the other',
    async () => {
      const roles = [primary, replica].map(
        async ({ url }) => (await redisInfo(url, 'replication'))['role'] ?? '',
      );
      return (await Promise.all(roles)).sort().join(' ') === 'master slave';
    },
    45_000,
  );
  const { url, port } = sentinels.nodes[0] ?? {};
  expect(await callRedis(url ?? '', 'SENTINEL', 'MYID')).toMatch(/^[0-9a-f]{40}$/);
  await expect(callRedis(`redis://127.0.0.1:${port}`, 'SENTINEL', 'MYID')).rejects.toThrow(
    'Connection is closed.',
  );
});

describe('a cluster', () => {
  test('moves a slot step by step: ASK in the middle, MOVED after', async () => {
    await using cluster = await startCluster();
    const key = 'orders.{1}';
    const slot = await cluster.slotOf(key);
    const owner = await cluster.ownerOf(slot);
    const other = cluster.nodes.slice(0, 3).find((node) => node !== owner) as ClusterNode;
    await callRedis(owner.url, 'SET', key, 'value');
    await expect(callRedis(other.url, 'GET', key)).rejects.toThrow(`MOVED ${slot} 127.0.0.1:${owner.port}`);

    const undone = await cluster.migration(slot, other);
    await undone.begin();
    expect(await undone.keysLeft()).toEqual([key]);
    await undone.moveKeys([key]);
    await expect(callRedis(owner.url, 'GET', key)).rejects.toThrow(`ASK ${slot} 127.0.0.1:${other.port}`);
    await undone.undo();
    expect(await callRedis(owner.url, 'GET', key)).toBe('value');

    const migration = await cluster.migration(slot, other);
    await migration.begin();
    await migration.finish();
    expect(await callRedis(other.url, 'GET', key)).toBe('value');
    await expect(callRedis(owner.url, 'GET', key)).rejects.toThrow(`MOVED ${slot} 127.0.0.1:${other.port}`);
    expect((await cluster.ownerOf(slot)).port).toBe(other.port);
  });

  test.each(['FORCE', 'TAKEOVER'] as const)(
    'whose master dies goes on with a replica that takes over by %s, and takes the old one back as a replica',
    async (how) => {
      await using cluster = await startCluster();
      const slot = await cluster.slotOf('key');
      const owner = await cluster.ownerOf(slot);
      const [replica] = await cluster.replicasOf(owner);
      if (replica === undefined) throw new Error('the master has no replica');
      await cutReplication(owner, replica);
      await callRedis(owner.url, 'SET', 'key', 'lost');
      await owner.kill();
      await cluster.failover(replica, how);
      await cluster.untilOk();
      expect((await cluster.ownerOf(slot)).port).toBe(replica.port);
      expect(await callRedis(replica.url, 'GET', 'key')).toBeNull();
      await callRedis(replica.url, 'SET', 'key', 'new');
      await owner.start();
      await untilServers('the old master to follow', async () =>
        (await cluster.replicasOf(replica)).some((node) => node.id === owner.id),
      );
      await cluster.untilOk();
    },
  );
});

test('nothing of a cluster or of sentinels outlives a killed parent', async () => {
  const program = `
    import { startCluster } from './dev/servers/redis-cluster.ts';
    import { startRedis } from './dev/servers/redis.ts';
    import { startSentinels } from './dev/servers/redis-sentinels.ts';
    const cluster = await startCluster();
    const master = await startRedis();
    const sentinels = await startSentinels({ master, replicas: [] });
    const pids = [...cluster.nodes.map((node) => node.pid), ...sentinels.nodes.map((node) => node.pid), master.pid];
    console.log(pids.join(' '));
    setInterval(() => undefined, 1000);
  `;
  const parent = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  parent.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text;
  });
  await waitFor('the process ids', () => printed.endsWith('\n'), 40_000);
  const pids = printed.trim().split(' ').map(Number);
  expect(pids).toHaveLength(10);
  parent.kill('SIGKILL');
  await once(parent, 'exit');
  await untilGone(pids, 10_000);
});
