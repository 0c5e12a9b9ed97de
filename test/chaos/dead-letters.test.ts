import { expect, test } from 'vitest';
import { isLong, Links } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { CrashRun, planStrikes } from '../support/crash-run.ts';
import { DEAD_LETTER_ENV, expectApart } from '../support/dead-letters.ts';
import { Oracle } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';
import { Workload } from '../support/workload.ts';

const KILLS = Number(process.env['CHAOS_KILLS'] ?? (isLong ? 200 : 36));

test(`killed ${KILLS} times while events go to the dead letters: each is there once, and no other is`, async () => {
  const random = new Random(chaosSeed('dead-letters'));
  await using outbox = await createOutbox({
    env: { ...DEAD_LETTER_ENV, WALRELAY_DEAD_LETTERS_MAX: '10000' },
  });
  const oracle = await Oracle.create(outbox);
  await outbox.redis.set(outbox.stream('refused'), 'a string');
  await using links = await Links.open(outbox);
  await using workload = Workload.start({
    databaseUrl: outbox.databaseUrl,
    seed: random.int(0, 2 ** 31),
    bigEvery: 300,
  });
  // Alone, at both ends and in the middle of transactions, and next to each other.
  const poison = new AbortController();
  const poisoning = (async () => {
    for (let turn = 0; !poison.signal.aborted; turn += 1) {
      const types = random.shuffle(['refused', 'na med', 'refused', '', 'order', 'order', 'invoice']);
      const some = types.slice(0, 1 + (turn % types.length));
      await outbox.query(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT t, '1', 't', '{}' FROM unnest($1::text[]) t",
        [some],
      );
      await new Promise((resolve) => setTimeout(resolve, random.int(0, 1500)));
    }
  })();
  const run = new CrashRun((env) => outbox.start({ ...links.env, ...env }), links, random);
  for (const strike of planStrikes(random, KILLS)) await run.strike(strike);
  poison.abort();
  await poisoning;
  await workload.stop();
  const daemon = run.running();
  await outbox.waitUntilConfirmed(60_000);
  expect((await daemon.stop()).exitCode).toBe(0);
  await outbox.redis.del(outbox.stream('refused'));
  const { events, letters } = await expectApart(outbox, oracle, ['refused', 'na med', '']);
  console.log(`dead-letters: ${KILLS} kills, ${events} events, ${letters} dead letters`);
  expect(letters).toBeGreaterThan(10);
}, 600_000);
