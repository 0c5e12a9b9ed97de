import { expect, test } from 'vitest';
import { startRedis } from '../../dev/servers/redis.ts';
import { parseLsn } from '../../src/core/lsn.ts';
import { loseAofTail } from '../support/aof-tail.ts';
import { sessionErrors, settle, waitForEvents, waitForSessions } from '../support/chaos-links.ts';
import type { Daemon } from '../support/cli.ts';
import { Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { QUICK, seededLoad } from '../support/seeded-load.ts';
import { createOutbox } from '../support/servers.ts';
import { confirmedAtRest } from '../support/slot-at-rest.ts';
import { waitFor } from '../support/wait-for.ts';

const HISTORY_EXIT_CODE = 67;

const load = seededLoad();

test('FLUSHALL under load: the relay stops with LANE_MISSING, and the slot stays where it was', async () => {
  await using redis = await startRedis({ args: ['--appendfsync', 'always'] });
  await using outbox = await createOutbox({ redisUrl: redis.url });
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load.start(outbox);
  await waitForEvents(daemon, 200);
  await waitFor('a confirmation', async () => (await floorOf(outbox)) > 0n);
  const replies = await outbox.redis.multi().hget(outbox.metaKey, 'floor').flushall().exec();
  const floor = BigInt(`0x${String(replies?.[0]?.[1])}`);
  await expectHalt(daemon, ['LANE_MISSING']);
  await workload.stop();
  expect(parseLsn(await outbox.confirmedLsn())).toBeLessThanOrEqual(floor);
  // And again, for whoever starts it without a look.
  await expectHalt(outbox.start(QUICK), ['LANE_MISSING']);
  expect(parseLsn(await outbox.confirmedLsn())).toBeLessThanOrEqual(floor);
  expect(await outbox.redis.keys(`${outbox.name}.*`)).toEqual([]);
});

test('killed without any persistence: the relay stops with LANE_MISSING, and the slot stays where it was', async () => {
  await using volatile = await startRedis({ args: ['--appendonly', 'no'] });
  await using outbox = await createOutbox({ redisUrl: volatile.url });
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load.start(outbox);
  await waitForEvents(daemon, 200);
  await volatile.kill();
  const confirmed = await confirmedAtRest(outbox);
  await volatile.start();
  await expectHalt(daemon, ['LANE_MISSING']);
  await workload.stop();
  expect(await outbox.confirmedLsn()).toBe(confirmed);
});

test('back from an older snapshot: the relay stops with REDIS_BEHIND, and the slot stays where it was', async () => {
  await using snapshots = await startRedis({ args: ['--appendonly', 'no'] });
  await using outbox = await createOutbox({ redisUrl: snapshots.url });
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load.start(outbox);
  await waitForEvents(daemon, 200);
  await outbox.redis.save();
  const saved = await floorOf(outbox);
  await waitFor(
    'a confirmation after the snapshot',
    async () => parseLsn(await outbox.confirmedLsn()) > saved,
  );
  await snapshots.kill();
  const confirmed = await confirmedAtRest(outbox);
  await snapshots.start();
  await expectHalt(daemon, ['REDIS_BEHIND']);
  await workload.stop();
  expect(await outbox.confirmedLsn()).toBe(confirmed);
});

test('the end of the AOF lost before it was confirmed: it is filled again from the slot, each entry once', async () => {
  await using everysec = await startRedis();
  await using outbox = await createOutbox({ redisUrl: everysec.url });
  const oracle = await Oracle.create(outbox);
  const hesitant = outbox.start({ ...QUICK, WALRELAY_WATCH_INTERVAL_MS: '600000' });
  await hesitant.streaming();
  await using workload = load.start(outbox);
  await waitForEvents(hesitant, 2000);
  await loseAofTail(everysec, half);
  await waitForSessions(hesitant, 2);
  expect(sessionErrors(hesitant)).not.toContain('REDIS_BEHIND');
  // A stop confirms all of it.
  await hesitant.stop();
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('the end of the AOF lost after it was confirmed: the relay stops with REDIS_BEHIND', async () => {
  await using everysec = await startRedis();
  await using outbox = await createOutbox({ redisUrl: everysec.url });
  const daemon = outbox.start(QUICK);
  await daemon.streaming();
  await using workload = load.start(outbox);
  await waitForEvents(daemon, 2000);
  await workload.stop();
  await outbox.waitUntilConfirmed();
  let confirmed = '';
  await loseAofTail(everysec, half, async () => {
    confirmed = await confirmedAtRest(outbox);
  });
  await expectHalt(daemon, ['REDIS_BEHIND']);
  expect(await outbox.confirmedLsn()).toBe(confirmed);
});

const half = (bytes: number): number => Math.floor(bytes / 2);

async function floorOf(outbox: Outbox): Promise<bigint> {
  return BigInt(`0x${(await outbox.redis.hget(outbox.metaKey, 'floor')) ?? '0'}`);
}

async function expectHalt(daemon: Daemon, codes: readonly string[]): Promise<void> {
  const result = await daemon.exited;
  expect(codes).toContain(sessionErrors(daemon).at(-1));
  expect(result.exitCode).toBe(HISTORY_EXIT_CODE);
}
