import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { callRedis } from '../../dev/servers/redis-call.ts';
import { redisFlavour } from '../../dev/servers/redis-flavour.ts';
import {
  allowReplication,
  cutReplication,
  startReplica,
  untilLinked,
} from '../../dev/servers/redis-replica.ts';
import { startSentinels } from '../../dev/servers/redis-sentinels.ts';
import { readMetric, settle, waitForEvents, waitForRelay, waitForSessions } from '../support/chaos-links.ts';
import { runCli } from '../support/cli.ts';
import { compareStreams } from '../support/compare-streams.ts';
import { expectFlawless, Oracle, readEntries } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

const QUICK = { WALRELAY_BACKOFF_MIN_MS: '20' };

function load(outbox: Outbox): Workload {
  return Workload.start({ databaseUrl: outbox.databaseUrl, seed: 11, bigEvery: 0 });
}

function create(redis: RedisServer, env: Readonly<Record<string, string>> = {}): Promise<Outbox> {
  return createOutbox({ redisUrl: redis.url, isRedisOwn: true, env });
}

test('fsync: a Redis that is killed between two writes to its disk has lost nothing that was confirmed', async ({
  skip,
}) => {
  const binary = await redisFlavour('valkey-8');
  if ('missing' in binary) return skip(binary.missing);
  await using redis = await startRedis({ binary });
  await using outbox = await create(redis, { WALRELAY_DURABILITY: 'fsync' });
  const oracle = await Oracle.create(outbox);
  // Without a replay window: only the wait for the disk stands between a kill and a loss.
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  for (let life = 1; life <= 3; life += 1) {
    await waitForEvents(daemon, life * 200);
    await redis.kill();
    await redis.start();
    await waitForSessions(daemon, life + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('fsync is refused by name where Redis can’t promise it', async () => {
  await using redis = await startRedis();
  await using outbox = await create(redis, { WALRELAY_DURABILITY: 'fsync' });
  const result = await runCli(['run'], { ...outbox.env, WALRELAY_HTTP_PORT: '0' });
  expect(result.exitCode).toBe(66);
  expect(result.stderr).toContain('REDIS_DURABILITY');
});

test('replicas: without enough of them events flow and nothing is confirmed; with them all of it is', async () => {
  await using redis = await startRedis();
  await using replica = await startReplica(redis);
  await using outbox = await create(redis, { WALRELAY_DURABILITY: 'replicas:1' });
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitUntilConfirmed();
  await cutReplication(redis, replica);
  const confirmed = await outbox.confirmedLsn();
  for (let count = 0; count < 20; count += 1) await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 21);
  await waitForRelay(
    daemon,
    'two short waits',
    async () => (await readMetric(daemon, 'walrelay_short_waits_total')) >= 2,
  );
  expect(await outbox.confirmedLsn()).toBe(confirmed);
  await allowReplication(replica);
  await untilLinked(replica);
  expect(await settle({ outbox, oracle, daemon })).toBe(21);
  // Waited for again, never written again.
  expect(await callRedis(redis.url, 'XLEN', outbox.stream())).toBe(21);
});

test('sentinels: the relay finds the master through them, and the next one when it dies', async () => {
  await using primary = await startRedis();
  await using replica = await startReplica(primary);
  await using sentinels = await startSentinels({ master: primary, replicas: [replica] });
  const url = new URL(primary.url);
  const [first = '', ...others] = sentinels.addresses;
  url.host = first;
  await using outbox = await createOutbox({
    redisUrl: primary.url,
    isRedisOwn: true,
    env: {
      REDIS_URL: url.href,
      WALRELAY_REDIS_MODE: 'sentinel',
      WALRELAY_REDIS_NODES: others.join(','),
      WALRELAY_REDIS_SENTINEL_MASTER: sentinels.masterName,
      WALRELAY_REDIS_SENTINEL_PASSWORD: sentinels.password,
      WALRELAY_REPLAY_WINDOW_MS: '5000',
    },
  });
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load(outbox);
  await waitForEvents(daemon, 200);
  await primary.kill();
  await sentinels.untilMaster(replica);
  await waitForSessions(daemon, 2);
  await waitForEvents(daemon, 500);
  await workload.stop();
  await outbox.waitUntilConfirmed(60_000);
  const promoted = new Redis(replica.url);
  const exactness = compareStreams(await oracle.read(), await readEntries(promoted, outbox.name));
  promoted.disconnect();
  expectFlawless(exactness);
  expect(exactness.events).toBeGreaterThan(200);
  expect((await daemon.stop()).exitCode).toBe(0);
});
