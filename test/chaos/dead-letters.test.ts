import { expect, test } from 'vitest';
import { isLong } from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { CrashScene } from '../support/crash-run.ts';
import { DEAD_LETTER_ENV, expectApart } from '../support/dead-letters.ts';
import { Oracle } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';

const KILLS = Number(process.env['CHAOS_KILLS'] ?? (isLong ? 200 : 36));

test(`killed ${KILLS} times while events go to the dead letters: each is there once, and no other is`, async () => {
  const random = new Random(chaosSeed('dead-letters'));
  await using outbox = await createOutbox({
    env: { ...DEAD_LETTER_ENV, WALRELAY_DEAD_LETTERS_MAX: '10000' },
  });
  const oracle = await Oracle.create(outbox);
  await outbox.redis.set(outbox.stream('refused'), 'a string');
  await using scene = await CrashScene.open(outbox, random);
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
  const daemon = await scene.strike(KILLS);
  poison.abort();
  await poisoning;
  await scene.workload.stop();
  await outbox.waitUntilConfirmed(60_000);
  expect((await daemon.stop()).exitCode).toBe(0);
  await outbox.redis.del(outbox.stream('refused'));
  const { events, letters } = await expectApart(outbox, oracle, ['refused', 'na med', '']);
  console.log(`dead-letters: ${KILLS} kills, ${events} events, ${letters} dead letters`);
  expect(letters).toBeGreaterThan(10);
}, 600_000);
