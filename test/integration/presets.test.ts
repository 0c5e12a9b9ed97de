import { expect, test } from 'vitest';
import type { Env } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { fieldsOf, PRESET_CASES, relayedByPreset, runFixture } from '../support/preset-cases.ts';
import { createOutbox } from '../support/servers.ts';

async function presetOutbox(env: Env = {}): Promise<Outbox> {
  const outbox = await createOutbox({ isInitialized: false, env: { WALRELAY_STREAM: '', ...env } });
  // Also what a test that failed has left.
  for (const { stream } of PRESET_CASES) await outbox.redis.del(stream);
  return outbox;
}

test.each(PRESET_CASES)(
  '$preset: init --detect proposes it for its tables, and the file that it writes relays what is inserted and nothing else',
  async (each) => {
    await using outbox = await presetOutbox();
    expect(await relayedByPreset(outbox, each)).toEqual(each.entry);
  },
  120_000,
);

test('a preset is all that a relay of its table needs to be told', async () => {
  await using outbox = await presetOutbox({ WALRELAY_PRESET: 'cap' });
  const { insert, entry, stream } = PRESET_CASES.find(({ preset }) => preset === 'cap')!;
  await runFixture(outbox, 'cap');
  await outbox.query(insert);
  await outbox.query('UPDATE "cap"."published" SET "Id" = 1');
  await outbox.init('--snapshot');
  await outbox.start().streaming();
  await outbox.query(insert);
  const [published, relayed] = await fieldsOf(outbox, stream, 2);
  expect(published).toMatchObject({ ...entry, id: '1' });
  expect(relayed).toMatchObject(entry);
  await outbox.redis.del(stream);
}, 60_000);
