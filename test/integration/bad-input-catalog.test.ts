import { expect, test } from 'vitest';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import {
  acceptEpoch,
  expectRelays,
  type Refusal,
  refusalOf,
  refusedCommand,
  refusedRun,
} from '../support/setup-refusal.ts';
import { splitStatements } from '../support/setup-statements.ts';

/** Refused by `init` and by `run`, in the same words. */
async function refusedTwice(outbox: Outbox, env: Record<string, string> = {}): Promise<Refusal> {
  const run = await refusedRun(outbox, env);
  const init = await refusedCommand(['init'], { ...outbox.env, ...env });
  expect({ ...init, result: null }).toEqual({ ...run, result: null });
  return run;
}

/** Does what the hint says: its SQL; then a new epoch, since a changed publication may have left events out. */
async function follow(outbox: Outbox, refusal: Refusal): Promise<void> {
  for (const statement of splitStatements(refusal.hint)) await outbox.query(statement);
  await acceptEpoch(outbox);
  await expectRelays(outbox);
}

test('a missing table is named, with the one that the publication covers, or the command that makes it', async () => {
  await using outbox = await createOutbox();
  const refusal = await refusedTwice(outbox, { WALRELAY_TABLE: 'sales.events' });
  expect(refusal).toMatchObject({ code: 'TABLE_MISSING', exitCode: 65 });
  expect(refusal.message).toContain('"sales"."events"');
  expect(refusal.hint).toContain(`WALRELAY_TABLE='"public"."outbox"'`);
  await outbox.query('DROP TABLE outbox');
  const dropped = await refusedTwice(outbox, {});
  expect(dropped).toMatchObject({ code: 'TABLE_MISSING', exitCode: 65 });
  expect(dropped.hint).toContain('walrelay init --create-table');
});

test('a missing column is named, together with those that exist', async () => {
  await using outbox = await createOutbox();
  const refusal = await refusedTwice(outbox, {
    WALRELAY_COLUMN_PAYLOAD: 'body',
    WALRELAY_STREAM: 'x.${tenant}',
  });
  expect(refusal).toMatchObject({ code: 'COLUMN_MISSING', exitCode: 65 });
  expect(refusal.message).toContain('no column "body", "tenant"');
  expect(refusal.message).toContain('it has id, aggregatetype, aggregateid, type, payload, created_at');
  expect(refusal.hint).toContain('WALRELAY_COLUMN_');
});

test('a view is no outbox', async () => {
  await using outbox = await createOutbox();
  await outbox.query('CREATE VIEW events AS SELECT * FROM outbox');
  const refusal = await refusedTwice(outbox, { WALRELAY_TABLE: 'events' });
  expect(refusal).toMatchObject({ code: 'TABLE_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain('"public"."events" is a view');
});

test('an unlogged table is refused until it is logged', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await outbox.query(`CREATE UNLOGGED TABLE outbox
    (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text, type text, payload jsonb)`);
  const refusal = await refusedTwice(outbox);
  expect(refusal).toMatchObject({ code: 'TABLE_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain('its rows never reach the WAL');
  for (const statement of splitStatements(refusal.hint)) await outbox.query(statement);
  await outbox.init();
  await expectRelays(outbox);
});

test('a partitioned table works without publish_via_partition_root', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await outbox.query(`CREATE TABLE outbox (id uuid DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text,
    type text, payload jsonb) PARTITION BY LIST (aggregatetype)`);
  await outbox.query("CREATE TABLE outbox_order PARTITION OF outbox FOR VALUES IN ('order')");
  await outbox.query('CREATE TABLE outbox_rest PARTITION OF outbox DEFAULT');
  await outbox.query('CREATE PUBLICATION walrelay FOR TABLE outbox');
  await outbox.init();
  await expectRelays(outbox);
  const [publication] = await outbox.query('SELECT pubviaroot FROM pg_publication');
  expect(publication).toEqual({ pubviaroot: false });
});

test('a publication that is missing from the start is made by init; the slot is not', async () => {
  await using outbox = await createOutbox();
  const refusal = await refusedRun(outbox, { WALRELAY_PUBLICATION: 'typo' });
  expect(refusal).toMatchObject({ code: 'PUBLICATION_MISSING', exitCode: 65 });
  expect(refusal.message).toContain('"typo" does not exist');
  expect(refusal.hint).toContain('walrelay init');
});

test('a publication dropped while the relay was down is made by init; the way on is a new epoch', async () => {
  await using outbox = await createOutbox();
  await expectRelays(outbox);
  await outbox.query('DROP PUBLICATION walrelay');
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'PUBLICATION_MISSING', exitCode: 65 });
  expect(refusal.hint).toMatch(/`walrelay init`.*`walrelay epoch accept`/);
  const init = await refusedCommand(['init'], outbox.env);
  expect(init).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
  expect(init.result.stdout).toContain('created  publication');
  await acceptEpoch(outbox);
  await expectRelays(outbox);
});

test('changes written without a publication end the stream by name; with a new slot the relay goes on', async ({
  skip,
}) => {
  await using outbox = await createOutbox();
  const [server] = await outbox.query<{ skips: boolean }>(
    "SELECT current_setting('server_version_num')::int >= 180000 AS skips",
  );
  if (server?.skips === true)
    return skip('from version 18 on Postgres skips such changes with a mere warning');
  await expectRelays(outbox);
  await outbox.query('DROP PUBLICATION walrelay');
  await outbox.insert();
  await outbox.query("CREATE PUBLICATION walrelay FOR TABLE outbox WITH (publish = 'insert')");
  await acceptEpoch(outbox);
  const refusal = refusalOf(await outbox.start().exited, outbox.env);
  expect(refusal).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
  expect(refusal.message).toContain('publication "walrelay" does not exist');
  expect(refusal.hint).toContain('pg_drop_replication_slot');
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
  await acceptEpoch(outbox);
  await expectRelays(outbox);
});

test('a publication for another table is refused until it covers the outbox', async () => {
  await using outbox = await createOutbox();
  await outbox.query('CREATE TABLE other (id int)');
  await outbox.query('ALTER PUBLICATION walrelay SET TABLE other');
  const refusal = await refusedTwice(outbox);
  expect(refusal).toMatchObject({ code: 'PUBLICATION_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain('"walrelay" does not cover "public"."outbox"');
  for (const statement of splitStatements(refusal.hint)) await outbox.query(statement);
  expect(await refusedRun(outbox)).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
  await acceptEpoch(outbox);
  await expectRelays(outbox);
});

test('a publication without inserts is refused until it publishes them', async () => {
  await using outbox = await createOutbox();
  await outbox.query("ALTER PUBLICATION walrelay SET (publish = 'update, delete')");
  const refusal = await refusedTwice(outbox);
  expect(refusal).toMatchObject({ code: 'PUBLICATION_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain('does not publish inserts');
  await follow(outbox, refusal);
});

test('a row filter is refused; the fix leaves the publication’s other tables in it', async () => {
  await using outbox = await createOutbox();
  await outbox.query('CREATE TABLE other (id int)');
  await outbox.query("ALTER PUBLICATION walrelay SET TABLE outbox WHERE (type <> 'secret'), other");
  const refusal = await refusedTwice(outbox);
  expect(refusal).toMatchObject({ code: 'PUBLICATION_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain('filters the rows');
  await follow(outbox, refusal);
  expect(await outbox.query('SELECT tablename FROM pg_publication_tables ORDER BY 1')).toEqual([
    { tablename: 'other' },
    { tablename: 'outbox' },
  ]);
});

test('a column list must hold every column that the relay reads', async () => {
  await using outbox = await createOutbox();
  await outbox.query('ALTER PUBLICATION walrelay SET TABLE outbox (id, aggregatetype, type, created_at)');
  const refusal = await refusedTwice(outbox);
  expect(refusal).toMatchObject({ code: 'PUBLICATION_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain('leaves out the column "aggregateid", "payload"');
  await follow(outbox, refusal);
});

test('several faults at once are all reported, by run and by init', async () => {
  await using outbox = await createOutbox();
  await outbox.query("ALTER PUBLICATION walrelay SET (publish = 'update')");
  await outbox.query("ALTER PUBLICATION walrelay SET TABLE outbox WHERE (type <> 'secret')");
  const env = { WALRELAY_COLUMN_PAYLOAD: 'body', WALRELAY_SLOT: 'no_such_slot' };
  const run = await refusedRun(outbox, env);
  const init = await refusedCommand(['init'], { ...outbox.env, ...env });
  for (const refusal of [run, init]) {
    expect(refusal).toMatchObject({ code: 'COLUMN_MISSING', exitCode: 65 });
    expect(refusal.result.stderr).toContain('does not publish inserts');
    expect(refusal.result.stderr).toContain('filters the rows');
  }
  expect(run.result.stderr).toContain('SLOT_MISSING');
});
