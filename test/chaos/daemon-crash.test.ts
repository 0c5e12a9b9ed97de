import { expect, test } from 'vitest';
import { isLong, settle } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { CrashScene } from '../support/crash-run.ts';
import { Oracle } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';

const KILLS = Number(process.env['CHAOS_KILLS'] ?? (isLong ? 300 : 54));

test(`killed ${KILLS} times at random and at named points, under load, every event stands once and in order`, async () => {
  const seed = chaosSeed('daemon-crash');
  const random = new Random(seed);
  const startedAtMs = performance.now();
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await using scene = await CrashScene.open(outbox, random);

  const daemon = await scene.strike(KILLS);
  const { workload, run } = scene;
  const events = await settle({ outbox, oracle, daemon }, workload);

  const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
  const counts = [...run.counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([what, n]) => `  ${what}: ${n}`);
  const done = Object.entries(workload.done).map(([operation, count]) => `${operation} ${count}`);
  console.log(
    `daemon-crash: seed ${seed}, ${KILLS} kills, ${events} events, ${seconds} s\n` +
      `  transactions: ${done.join(', ')}; failed ${workload.failedCount}\n${counts.join('\n')}`,
  );
  expect(workload.done.big).toBeGreaterThan(0);
  expect(workload.failedCount).toBe(0);
});
