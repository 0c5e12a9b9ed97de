import { readMetric, waitForEvents, waitForRelay, waitForSessions } from '../../support/chaos-links.ts';
import { countStatuses, timeWithStatuses } from '../../support/status-frames.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';

/** Status updates: a server that shuts down asks some 30,000 times a second for what it already has. */
const STATUSES_PER_SECOND_MAX = 50;

export const rows: readonly Row[] = [
  {
    id: 'P3',
    fault: 'fast shutdown of Postgres under load, Redis healthy',
    must: 'OK',
    runs: 3,
    isShort: true,
    run: (context) => stopFast(context, { isRedisStopped: false, limitMs: 2_000 }),
  },
  {
    id: 'P4',
    fault: 'fast shutdown of Postgres under load while Redis does not answer',
    must: 'OK',
    runs: 2,
    run: (context) => stopFast(context, { isRedisStopped: true, limitMs: 10_000 }),
  },
  {
    id: 'P5',
    fault: 'immediate shutdown of Postgres under load',
    must: 'OK',
    runs: 3,
    async run(context) {
      const postgres = await context.startPostgres();
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      for (let life = 1; life <= 2; life += 1) {
        await waitForEvents(daemon, life * 200);
        const fault = context.fault('immediate shutdown', { isKill: true });
        await postgres.stop('immediate');
        await postgres.start();
        fault.over();
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
];

async function stopFast(
  context: RowContext,
  { isRedisStopped, limitMs }: { readonly isRedisStopped: boolean; readonly limitMs: number },
): Promise<void> {
  const [postgres, redis] = await Promise.all([context.startPostgres(), context.startRedis()]);
  const scene = await context.openScene({ postgres, redis });
  const statuses = countStatuses(scene.links.postgres);
  const daemon = await scene.startStreaming();
  scene.startWorkload();
  await waitForEvents(daemon, context.random.int(200, 800));
  if (isRedisStopped) {
    redis.pause();
    await waitForRelay(daemon, 'unanswered batches', () => readMetric(daemon, 'walrelay_in_flight_batches'));
  }
  const fault = context.fault(`fast shutdown${isRedisStopped ? ', Redis stopped' : ''}`);
  const { ms, perSecond } = await timeWithStatuses(statuses, () => postgres.stop('fast'));
  context.note(`stopped after ${ms} ms, ${perSecond} status updates a second`);
  if (isRedisStopped) redis.resume();
  if (ms > limitMs) throw new Error(`the shutdown took ${ms} ms, more than ${limitMs}`);
  if (perSecond >= STATUSES_PER_SECOND_MAX) throw new Error(`${perSecond} status updates a second`);
  await waitForRelay(daemon, 'nothing in flight', async () => {
    return (await readMetric(daemon, 'walrelay_in_flight_batches')) === 0;
  });
  await postgres.start();
  fault.over();
  await waitForSessions(daemon, 2);
  await scene.recover(daemon, fault);
  await scene.settle(daemon);
}
