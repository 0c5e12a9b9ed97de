import { setTimeout as sleep } from 'node:timers/promises';
import { parseLsn } from '../../../src/core/lsn.ts';
import { aofBytes, loseAofTail } from '../../support/aof-tail.ts';
import { readMetric, waitForEvents } from '../../support/chaos-links.ts';
import { confirmedAtRest } from '../../support/slot-at-rest.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';

const WINDOW_MS = 5_000;

export const rows: readonly Row[] = [
  {
    id: 'R1',
    fault: 'Redis kill -9 with appendfsync always, under load',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const { redis, scene, daemon } = await context.openUnderLoad();
      for (let life = 1; life <= (context.kills ?? 3); life += 1) {
        await waitForEvents(daemon, life * context.random.int(100, 300));
        const fault = context.fault('kill -9 of Redis', { isKill: true });
        await redis.kill();
        await redis.start();
        fault.over();
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
  {
    id: 'R2',
    fault: 'Redis kill -9 that loses the end of its data: within the replay window, and what was confirmed',
    must: ['OK', 'HALT'],
    runs: 3,
    async run(context) {
      await loseWithinWindow(context);
      await loseConfirmed(context, String(context.random.pick([0, 1_000])));
      await loseSinceSnapshot(context);
    },
  },
];

/** What was lost is younger than the window, so Postgres still has it: it is filled in, each entry once. */
async function loseWithinWindow(context: RowContext): Promise<void> {
  const redis = await context.startRedis({ args: ['--appendfsync', 'everysec'] });
  const scene = await context.openScene({ redis, env: { WALRELAY_REPLAY_WINDOW_MS: String(WINDOW_MS) } });
  const daemon = await scene.startStreaming();
  scene.startWorkload();
  for (let life = 1; life <= 2; life += 1) {
    await waitForEvents(daemon, life * 200);
    const kept = aofBytes(redis);
    const lostMs = context.random.int(100, WINDOW_MS * 0.6);
    const before = await readMetric(daemon, 'walrelay_events_total');
    await sleep(lostMs);
    await waitForEvents(daemon, before + 20);
    const fault = context.fault(`kill -9 of Redis, its last ${lostMs} ms lost`, { isKill: true });
    await loseAofTail(redis, () => kept);
    fault.over();
    await scene.recover(daemon, fault);
  }
  await scene.settle(daemon);
}

/** Postgres was told that it may forget what was lost. */
async function loseConfirmed(context: RowContext, windowMs: string): Promise<void> {
  const redis = await context.startRedis({ args: ['--appendfsync', 'everysec'] });
  const scene = await context.openScene({ redis, env: { WALRELAY_REPLAY_WINDOW_MS: windowMs } });
  const daemon = await scene.startStreaming();
  scene.startWorkload();
  await waitForEvents(daemon, 200);
  const floor = await scene.floor();
  const kept = aofBytes(redis);
  await waitFor('a confirmation past that', async () => (await scene.confirmed()) > floor);
  await scene.stopWorkloads();
  await scene.outbox.waitUntilConfirmed();
  context.fault(`kill -9 of Redis, confirmed entries lost (window ${windowMs} ms)`, { isKill: true });
  let confirmed = '';
  await loseAofTail(
    redis,
    () => kept,
    async () => {
      confirmed = await confirmedAtRest(scene.outbox);
    },
  );
  await scene.expectHalt(daemon, ['REDIS_BEHIND'], { notPast: parseLsn(confirmed), entries: 'any' });
}

async function loseSinceSnapshot(context: RowContext): Promise<void> {
  const { redis, scene, daemon } = await context.openUnderLoad({ redis: { args: ['--appendonly', 'no'] } });
  await waitForEvents(daemon, 200);
  await scene.outbox.redis.save();
  const saved = await scene.floor();
  await waitFor('a confirmation after the snapshot', async () => (await scene.confirmed()) > saved);
  context.fault('kill -9 of a Redis with snapshots only', { isKill: true });
  await redis.kill();
  const confirmed = await confirmedAtRest(scene.outbox);
  await redis.start();
  await scene.expectHalt(daemon, ['REDIS_BEHIND'], { notPast: parseLsn(confirmed), entries: 'any' });
}
