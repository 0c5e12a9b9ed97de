import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import {
  isLong,
  Links,
  readMetric,
  settle,
  streamingCount,
  unlessExited,
  waitForEvents,
  waitForSessions,
} from '../support/chaos-links.ts';
import { Random } from '../support/chaos-random.ts';
import { Oracle } from '../support/exactness.ts';
import { ownRedis } from '../support/own-redis.ts';
import { PointWatch } from '../support/protocol-points.ts';
import { waitForError } from '../support/relay-errors.ts';
import { QUICK, seededLoad } from '../support/seeded-load.ts';

const redis = ownRedis();
const load = seededLoad();

test('killed under load with appendfsync always, several times: exact', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load.start(outbox);
  for (let life = 1; life <= (isLong ? 20 : 4); life += 1) {
    await waitForEvents(daemon, life * 300);
    await redis.server.kill();
    await redis.server.start();
    await waitForSessions(daemon, life + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('stopped for longer than the time-out: the batches of the dead session change nothing when it wakes', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({ ...QUICK, WALRELAY_REDIS_TIMEOUT_MS: '500' });
  await daemon.streaming();
  await using workload = load.start(outbox);
  for (let count = 1; count <= 2; count += 1) {
    await waitForEvents(daemon, count * 300);
    redis.server.pause();
    try {
      await waitForError(daemon, 'REDIS_TIMEOUT', count);
    } finally {
      redis.server.resume();
    }
    await waitForSessions(daemon, count + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('an answer that is lost after the batch was appended: the events are recognised and skipped', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const daemon = outbox.start({ ...QUICK, ...links.env, WALRELAY_REDIS_TIMEOUT_MS: '500' });
  await daemon.streaming();
  await using workload = load.start(outbox);
  for (let count = 1; count <= 5; count += 1) {
    await waitForEvents(daemon, count * 100);
    const streamed = streamingCount(daemon);
    // Commands go on, answers do not come back; the relay hears nothing until it gives the connection up.
    links.redis.downstream.setBlackHole(true);
    await waitForError(daemon, 'REDIS_TIMEOUT', count);
    links.redis.resetAll();
    links.redis.downstream.setBlackHole(false);
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await readMetric(daemon, 'walrelay_resent_events_total')).toBeGreaterThan(0);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('half a batch, then a cut: nothing of it is appended, all of it later', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const watch = new PointWatch(links);
  const random = new Random(load.seed);
  const daemon = outbox.start({ ...QUICK, ...links.env });
  await daemon.streaming();
  await using workload = load.start(outbox);
  for (let count = 1; count <= (isLong ? 100 : 12); count += 1) {
    const streamed = streamingCount(daemon);
    const stage = random.pick(['half', 'half', 'executed'] as const);
    await unlessExited(
      daemon,
      watch.arm({ message: 'append', stage }, random.int(1, 5), () => undefined),
    );
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('CLIENT KILL in a loop: exact', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load.start(outbox);
  for (let count = 1; count <= (isLong ? 200 : 20); count += 1) {
    const streamed = streamingCount(daemon);
    await outbox.redis.call('CLIENT', 'KILL', 'TYPE', 'normal');
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('busy with a script of another client: the relay waits until it is over', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({ ...QUICK, WALRELAY_REDIS_TIMEOUT_MS: '5000' });
  await daemon.streaming();
  await using workload = load.start(outbox);
  await waitForEvents(daemon, 200);
  await outbox.redis.config('SET', 'busy-reply-threshold', '100');
  const other = new Redis(redis.server.url);
  const script = other.eval('while true do end', 0).catch((error: unknown) => String(error));
  await waitForError(daemon, 'REDIS_NOT_READY', 1);
  await outbox.redis.script('KILL');
  expect(await script).toContain('Script killed');
  other.disconnect();
  await waitForSessions(daemon, 2);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('made a read-only replica and back: exact', async () => {
  await using outbox = await redis.createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load.start(outbox);
  for (let count = 1; count <= 3; count += 1) {
    await waitForEvents(daemon, count * 100);
    const streamed = streamingCount(daemon);
    // Of a primary that does not answer: nothing is synchronised, nothing lost.
    await outbox.redis.replicaof('127.0.0.1', 1);
    await waitForError(daemon, 'REDIS_NOT_PRIMARY', count);
    await outbox.redis.replicaof('NO', 'ONE');
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});
