import { expect, test } from 'vitest';
import { isLong, Links, settle } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { CrashRun, planStrikes } from '../support/crash-run.ts';
import { Oracle } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

const KILLS = Number(process.env['CHAOS_KILLS'] ?? (isLong ? 300 : 54));

test(`killed ${KILLS} times at random and at named points, under load, every event stands once and in order`, async () => {
  const seed = chaosSeed('daemon-crash');
  const random = new Random(seed);
  const startedAtMs = performance.now();
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  await using workload = Workload.start({
    databaseUrl: outbox.databaseUrl,
    seed: random.int(0, 2 ** 31),
    bigEvery: 300,
  });
  const run = new CrashRun((env) => outbox.start({ ...links.env, ...env }), links, random);

  for (const strike of planStrikes(random, KILLS)) await run.strike(strike);
  const daemon = run.running();
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
