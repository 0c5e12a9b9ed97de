import { expect, test } from 'vitest';
import { Client } from 'pg';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { acceptEpoch, expectRelays, refusedCommand, refusedRun } from '../support/setup-refusal.ts';

async function dropSlot(outbox: Outbox): Promise<void> {
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
}

test('a slot that was never made is refused by run, with the command that makes it', async () => {
  await using outbox = await createOutbox();
  const refusal = await refusedRun(outbox, { WALRELAY_SLOT: 'no_such_slot' });
  expect(refusal).toMatchObject({ code: 'SLOT_MISSING', exitCode: 65 });
  expect(refusal.message).toContain("'no_such_slot' does not exist");
  expect(refusal.hint).toContain('walrelay init');
});

test('a slot of another database is refused by name', async () => {
  await using outbox = await createOutbox();
  await using other = await createOutbox();
  const env = { WALRELAY_SLOT: other.name };
  const refusal = await refusedRun(outbox, env);
  expect(refusal).toMatchObject({ code: 'SLOT_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain(`belongs to the database ${other.name}, not to ${outbox.name}`);
  expect(refusal.hint).toContain('another WALRELAY_SLOT');
  const init = await refusedCommand(['init'], { ...outbox.env, ...env });
  expect(init).toMatchObject({ code: 'SLOT_UNSUITABLE', exitCode: 65 });
});

test('a physical slot is refused', async () => {
  await using outbox = await createOutbox();
  await dropSlot(outbox);
  await outbox.query('SELECT pg_create_physical_replication_slot($1)', [outbox.name]);
  try {
    const refusal = await refusedRun(outbox);
    expect(refusal).toMatchObject({ code: 'SLOT_UNSUITABLE', exitCode: 65 });
    expect(refusal.message).toContain('is a physical slot');
  } finally {
    await dropSlot(outbox);
  }
});

test('a slot of another plugin is refused', async ({ skip }) => {
  await using outbox = await createOutbox();
  await dropSlot(outbox);
  try {
    await outbox.query("SELECT pg_create_logical_replication_slot($1, 'test_decoding')", [outbox.name]);
  } catch {
    skip('this build of Postgres comes without test_decoding');
  }
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'SLOT_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain('uses the plugin test_decoding, not pgoutput');
});

test('a temporary slot is refused, for it goes with its connection', async () => {
  await using outbox = await createOutbox();
  await dropSlot(outbox);
  const client = new Client({ connectionString: outbox.databaseUrl });
  await client.connect();
  try {
    await client.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput', true)", [outbox.name]);
    const refusal = await refusedRun(outbox);
    expect(refusal).toMatchObject({ code: 'SLOT_UNSUITABLE', exitCode: 65 });
    expect(refusal.message).toContain('is temporary');
  } finally {
    await client.end();
  }
});

test('a slot that a DBA made without the note needs an explicit new epoch, and nothing is lost by it', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await outbox.query(`CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text,
    aggregateid text, type text, payload jsonb)`);
  await outbox.query('CREATE PUBLICATION walrelay FOR TABLE outbox');
  await outbox.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [outbox.name]);
  await outbox.insert();
  expect(await refusedRun(outbox)).toMatchObject({ code: 'LANE_MISSING', exitCode: 67 });
  expect(await refusedCommand(['init'], outbox.env)).toMatchObject({ code: 'LANE_MISSING', exitCode: 67 });
  await acceptEpoch(outbox);
  await expectRelays(outbox);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
});
