import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { expectRelays, idsOf, refusedCommand } from '../support/setup-refusal.ts';
import { Role } from '../support/setup-role.ts';
import { splitStatements } from '../support/setup-statements.ts';

const uninitialized = (env: Record<string, string> = {}) => createOutbox({ isInitialized: false, env });

test('init makes table, publication, slot and lane state, in this order', async () => {
  await using outbox = await uninitialized();
  const result = await runCli(['init', '--create-table'], outbox.env);
  expect(result).toMatchObject({ exitCode: 0, stderr: '' });
  expect(stepsOf(result.stdout)).toEqual([
    'created table',
    'created publication',
    'created slot',
    'created lane state',
  ]);
  expect(
    await outbox.query(`SELECT column_name, data_type, is_nullable, column_default
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'outbox' ORDER BY ordinal_position`),
  ).toEqual([
    column('id', 'uuid', 'gen_random_uuid()'),
    column('aggregatetype', 'text'),
    column('aggregateid', 'text'),
    column('type', 'text'),
    column('payload', 'jsonb'),
    column('created_at', 'timestamp with time zone', 'now()'),
  ]);
  expect(await outbox.query("SELECT indexdef FROM pg_indexes WHERE tablename = 'outbox'")).toEqual([
    { indexdef: 'CREATE UNIQUE INDEX outbox_pkey ON public.outbox USING btree (id)' },
  ]);
  expect(
    await outbox.query(`SELECT pubinsert, pubupdate, pubdelete, pubtruncate, puballtables, pubviaroot,
      (SELECT array_agg(schemaname || '.' || tablename) FROM pg_publication_tables t WHERE t.pubname = p.pubname) AS tables
      FROM pg_publication p`),
  ).toEqual([
    {
      pubinsert: true,
      pubupdate: false,
      pubdelete: false,
      pubtruncate: false,
      puballtables: false,
      pubviaroot: true,
      tables: ['public.outbox'],
    },
  ]);
  // From version 17 on there is such a column, and the slot is to survive a promotion.
  expect(
    await outbox.query(
      "SELECT coalesce(to_jsonb(s) ->> 'failover', 'true') AS failover FROM pg_replication_slots s WHERE slot_name = $1",
      [outbox.name],
    ),
  ).toEqual([{ failover: 'true' }]);
  await expectRelays(outbox);
});

test('a second init finds everything and changes nothing, also while a relay streams', async () => {
  await using outbox = await createOutbox();
  const before = await snapshot(outbox);
  const again = await runCli(['init', '--create-table'], outbox.env);
  expect(stepsOf(again.stdout)).toEqual([
    'found table',
    'found publication',
    'found slot',
    'found lane state',
  ]);
  expect(await snapshot(outbox)).toEqual(before);

  const daemon = outbox.start();
  await daemon.streaming();
  const { exitCode } = await runCli(['init'], outbox.env);
  expect(exitCode).toBe(0);
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test('several inits at once take turns and make everything once', async () => {
  await using outbox = await uninitialized();
  const results = await Promise.all([1, 2, 3].map(() => runCli(['init', '--create-table'], outbox.env)));
  expect(results.map(({ exitCode, stderr }) => ({ exitCode, stderr }))).toEqual(
    results.map(() => ({ exitCode: 0, stderr: '' })),
  );
  const created = results
    .flatMap(({ stdout }) => stepsOf(stdout))
    .filter((step) => step.startsWith('created'));
  expect(created.sort()).toEqual([
    'created lane state',
    'created publication',
    'created slot',
    'created table',
  ]);
  await expectRelays(outbox);
});

test('a DBA can run the printed SQL instead, statement by statement; init then only writes the lane state', async () => {
  await using outbox = await uninitialized({ WALRELAY_PUBLICATION: 'the "pub"\'s' });
  const printed = await runCli(['init', '--create-table', '--print-sql'], outbox.env);
  expect(printed).toMatchObject({ exitCode: 0, stderr: '' });
  expect(await outbox.query('SELECT 1 FROM pg_publication')).toEqual([]);
  for (const statement of splitStatements(printed.stdout)) await outbox.query(statement);
  const init = await runCli(['init'], outbox.env);
  expect(init.stderr).toBe('');
  expect(stepsOf(init.stdout)).toEqual([
    'found table',
    'found publication',
    'found slot',
    'created lane state',
  ]);
  await expectRelays(outbox);
});

test('the printed SQL needs no server and says nothing of the connection', async () => {
  await using outbox = await uninitialized();
  const env = { ...outbox.env, DATABASE_URL: 'postgres://me:geheim@127.0.0.1:1/db' };
  const printed = await runCli(['init', '--print-sql'], env);
  expect(printed.exitCode).toBe(0);
  expect(printed.stdout).not.toContain('CREATE TABLE');
  expect(printed.stdout).not.toContain('geheim');
});

test('names with blanks, quotes and umlauts, and reserved words as columns, work from init to the stream', async () => {
  await using outbox = await uninitialized({
    WALRELAY_TABLE: '"My Schema"."Out Böx ""1"""',
    WALRELAY_PUBLICATION: 'Päb "x"',
    WALRELAY_COLUMN_ID: 'order',
    WALRELAY_COLUMN_AGGREGATE_TYPE: 'group',
    WALRELAY_COLUMN_AGGREGATE_ID: 'select',
    WALRELAY_COLUMN_TYPE: 'User',
    WALRELAY_COLUMN_PAYLOAD: 'Päyload',
  });
  const env = { ...outbox.env, WALRELAY_STREAM: `${outbox.name}.\${group}.\${tenant id}` };
  const init = await runCli(['init', '--create-table'], env);
  expect(init).toMatchObject({ exitCode: 0, stderr: '' });
  const daemon = outbox.start(env);
  await daemon.streaming();
  await outbox.query(
    `INSERT INTO "My Schema"."Out Böx ""1""" ("group", "select", "User", "Päyload", "tenant id") VALUES ('a', 'b', 'c', '{}', 't1')`,
  );
  await outbox.waitForLength(`${outbox.name}.a.t1`, 1);
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test('without a table and without --create-table init says so and makes nothing', async () => {
  await using outbox = await uninitialized();
  const refusal = await refusedCommand(['init'], outbox.env);
  expect(refusal).toMatchObject({ code: 'TABLE_MISSING', exitCode: 65 });
  expect(refusal.message).toContain('"public"."outbox"');
  expect(refusal.hint).toContain('walrelay init --create-table');
  expect(await madeBy(outbox)).toEqual({ tables: 0, publications: 0, slots: 0, lanes: 0 });
});

test('while Redis is away init makes nothing in Postgres', async () => {
  await using outbox = await uninitialized();
  const env = { ...outbox.env, REDIS_URL: 'redis://:geheim@127.0.0.1:1' };
  const refusal = await refusedCommand(['init', '--create-table'], env);
  expect(refusal).toMatchObject({ code: 'REDIS_UNREACHABLE', exitCode: 69 });
  expect(refusal.message).toContain('127.0.0.1:1');
  expect(await madeBy(outbox)).toEqual({ tables: 0, publications: 0, slots: 0, lanes: 0 });
});

test('a role that may not create the publication is told the statement for a DBA, and goes on after it', async () => {
  await using outbox = await uninitialized();
  await outbox.query(
    'CREATE TABLE outbox (id uuid, aggregatetype text, aggregateid text, type text, payload jsonb)',
  );
  await using role = await Role.create(outbox, 'LOGIN REPLICATION');
  const env = { ...outbox.env, DATABASE_URL: role.url };
  const refusal = await refusedCommand(['init'], env);
  expect(refusal).toMatchObject({ code: 'PG_PRIVILEGE', exitCode: 65 });
  expect(refusal.message).toContain('permission denied for database');
  expect(await madeBy(outbox)).toMatchObject({ publications: 0, slots: 0, lanes: 0 });

  const statement = /run: (CREATE PUBLICATION .*?;)/.exec(refusal.hint)?.[1] ?? '';
  await outbox.query(statement);
  expect(stepsOf((await runCli(['init'], env)).stdout)).toEqual([
    'found table',
    'found publication',
    'created slot',
    'created lane state',
  ]);
});

test('a lane state that is missing although the slot was used is a loss, not a fresh start', async () => {
  await using outbox = await createOutbox();
  await expectRelays(outbox);
  await outbox.redis.del(outbox.metaKey);
  const refusal = await refusedCommand(['init'], outbox.env);
  expect(refusal).toMatchObject({ code: 'LANE_MISSING', exitCode: 67 });
  expect(refusal.message).toContain(await outbox.confirmedLsn());
  expect(refusal.hint).toContain('walrelay epoch accept');
  expect(await outbox.redis.exists(outbox.metaKey)).toBe(0);
});

test('a lane state that is missing while the slot was never used is written again, and nothing is lost', async () => {
  await using outbox = await createOutbox();
  const id = await outbox.insert();
  await outbox.redis.del(outbox.metaKey);
  await outbox.init();
  await expectRelays(outbox);
  expect(await idsOf(outbox)).toEqual([id]);
});

test('a slot that is gone while Redis remembers it is not made again by init', async () => {
  await using outbox = await createOutbox();
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
  const refusal = await refusedCommand(['init'], outbox.env);
  expect(refusal).toMatchObject({ code: 'SLOT_MISSING', exitCode: 65 });
  expect(refusal.hint).toContain('walrelay epoch accept');
  expect(await madeBy(outbox)).toMatchObject({ slots: 0 });
});

test('init never replaces a slot, not even one that it can’t use', async () => {
  await using outbox = await uninitialized();
  await outbox.query('SELECT pg_create_physical_replication_slot($1)', [outbox.name]);
  try {
    const refusal = await refusedCommand(['init', '--create-table'], outbox.env);
    expect(refusal).toMatchObject({ code: 'SLOT_UNSUITABLE', exitCode: 65 });
    const slots = await outbox.query('SELECT slot_type FROM pg_replication_slots WHERE slot_name = $1', [
      outbox.name,
    ]);
    expect(slots).toEqual([{ slot_type: 'physical' }]);
  } finally {
    await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
  }
});

function column(name: string, type: string, byDefault: string | null = null) {
  return { column_name: name, data_type: type, is_nullable: 'NO', column_default: byDefault };
}

/** `created slot`, `found table`, … */
function stepsOf(stdout: string): string[] {
  return [...stdout.matchAll(/^(created|found) +(table|publication|slot|lane state) /gm)].map(
    ([, verb, what]) => `${verb} ${what}`,
  );
}

/** Everything that a second init must leave alone. */
async function snapshot(outbox: Outbox): Promise<unknown> {
  const [catalog] = await outbox.query(
    `SELECT (SELECT row_to_json(s)::text FROM pg_replication_slots s WHERE slot_name = $1) AS slot,
      (SELECT p.oid || ' ' || p.xmin || ' ' || obj_description(p.oid) FROM pg_publication p) AS publication,
      (SELECT c.oid || ' ' || c.xmin FROM pg_class c WHERE relname = 'outbox') AS table`,
    [outbox.name],
  );
  return { ...catalog, lane: await outbox.redis.hgetall(outbox.metaKey) };
}

async function madeBy(outbox: Outbox): Promise<Record<string, number>> {
  const [row] = await outbox.query<{ tables: number; publications: number; slots: number }>(
    `SELECT (SELECT count(*)::int FROM pg_tables WHERE schemaname = 'public') AS tables,
      (SELECT count(*)::int FROM pg_publication) AS publications,
      (SELECT count(*)::int FROM pg_replication_slots WHERE slot_name = $1) AS slots`,
    [outbox.name],
  );
  return { tables: 0, publications: 0, slots: 0, ...row, lanes: await outbox.redis.exists(outbox.metaKey) };
}
