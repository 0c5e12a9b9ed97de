import { readFileSync } from 'node:fs';
import { readMetric, waitForRelay } from '../../support/chaos-links.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const MIB = 1024 * 1024;
/** The default of WALRELAY_MEMORY_BUDGET_BYTES, and what Node's own buffers may add. */
const GROWTH_BYTES_MAX = 64 * MIB;

export const rows: readonly Row[] = [
  {
    id: 'D5',
    fault: 'memory: 120 MB against a Redis that stalls, then the OOM killer; a heap far too small',
    must: 'OK',
    runs: 1,
    async run(context) {
      const redis = await context.startRedis();
      const scene = await context.openScene({ redis });
      const full = await scene.startStreaming({ WALRELAY_REDIS_TIMEOUT_MS: '60000' });
      const idleBytes = peakRssBytes(full.pid);
      redis.pause();
      await insertMany(scene, 24_000, 5000);
      await waitForRelay(full, 'reading to pause', () => readMetric(full, 'walrelay_paused'));
      const grownBytes = peakRssBytes(full.pid) - idleBytes;
      context.note(`peak memory grew by ${Math.round(grownBytes / MIB)} MiB`);
      if (grownBytes > GROWTH_BYTES_MAX) throw new Error(`peak memory grew by ${grownBytes} bytes`);
      const killed = context.fault('kill -9, as the OOM killer does it', { isKill: true });
      await full.kill();
      redis.resume();
      const next = await scene.startStreaming();
      killed.over();
      await scene.recover(next, killed);
      await next.stop();

      const heap = context.fault('a heap of 8 MB');
      const small = scene.start({}, { nodeArgs: ['--max-old-space-size=8'] });
      await insertMany(scene, 20_000, 300);
      await waitFor('the small one to die or to finish', async () => {
        return small.hasExited || (await scene.outbox.redis.xlen(scene.outbox.stream())) === 44_000;
      });
      context.note(small.hasExited ? 'it died of it' : 'it was enough');
      await small.kill();
      heap.over();
      const last = await scene.startStreaming();
      await scene.recover(last, heap);
      await scene.settle(last);
    },
  },
];

async function insertMany(scene: Scene, count: number, bytes: number): Promise<void> {
  await scene.outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT 'order', (i % 97)::text, 't', jsonb_build_object('x', repeat('y', $2)) FROM generate_series(1, $1::int) i`,
    [count, bytes],
  );
}

function peakRssBytes(pid: number): number {
  return Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}
