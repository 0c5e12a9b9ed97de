import { afterAll, beforeAll, expect, test } from 'vitest';
import { startCluster, type RedisCluster } from '../../dev/servers/redis-cluster.ts';
import { relayAll } from '../support/recovered.ts';
import { refusedCommand, refusedRun } from '../support/setup-refusal.ts';
import { createOutbox } from '../support/servers.ts';
import { createOldTable, snapshotted } from '../support/snapshotted.ts';

let redis: RedisCluster;

beforeAll(async () => {
  redis = await startCluster();
});
afterAll(async () => {
  await redis?.dispose();
});

test('on a cluster the rows are published into all lanes; an interrupted snapshot is finished by the next one', async () => {
  const prefix = `sc${Date.now()}`;
  await using outbox = await createOutbox({
    redisUrl: redis.url,
    isInitialized: false,
    isRedisOwn: true,
    isRedisCluster: true,
    env: {
      WALRELAY_REDIS_MODE: 'cluster',
      WALRELAY_REDIS_NODES: redis.addresses.join(','),
      WALRELAY_STREAM: `${prefix}.{\${aggregateid}}`,
    },
  });
  await createOldTable(outbox);
  const tags = Array.from({ length: 12 }, (_, n) => `t${n}`);
  const insert = async (payload: number) => {
    for (const aggregateId of tags) await outbox.insert({ aggregateId, payload: String(payload) });
  };
  await insert(1);
  await outbox.insert({ aggregateId: 'no name' });
  await insert(2);
  expect(await refusedCommand(['init', '--snapshot'], outbox.env)).toMatchObject({
    code: 'EVENT_STREAM_NAME',
  });
  expect(await refusedRun(outbox)).toMatchObject({ code: 'SNAPSHOT_UNFINISHED', exitCode: 67 });
  await outbox.query("DELETE FROM outbox WHERE aggregateid = 'no name'");
  await insert(3);
  expect(await snapshotted(outbox)).toMatchObject({
    start: 'continue',
    entries: 12,
    streamed: 12,
    published: 12,
  });
  await relayAll(outbox);
  for (const tag of tags) {
    const entries = await outbox.redis.xrange(`${prefix}.{${tag}}`, '-', '+');
    expect(entries.map(([, fields]) => [fields[9], fields[10]])).toEqual([
      ['1', 'snapshot_at'],
      ['2', 'snapshot_at'],
      ['3', 'lsn'],
    ]);
  }
});
