import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { dropSlot, readAllEntries, relayAll } from '../support/recovered.ts';
import { createOutbox } from '../support/servers.ts';
import { acceptEpoch, expectRelays, idsOf, refusedCommand, refusedRun } from '../support/setup-refusal.ts';
import {
  createOldTable,
  expectSnapshotExact,
  insertOld,
  snapshotCli,
  snapshotted,
} from '../support/snapshotted.ts';

/** A table with rows and nothing else. */
async function oldOutbox(rows: number): Promise<Outbox> {
  const outbox = await createOutbox({ isInitialized: false });
  await createOldTable(outbox);
  if (rows > 0) await insertOld(outbox, rows);
  return outbox;
}

/** Begins a snapshot that stops in front of an event that can't pass. */
async function interrupt(outbox: Outbox, args: readonly string[] = []): Promise<void> {
  const poison = await outbox.insert({ aggregateType: 'no name' });
  const refusal = await refusedCommand(['init', '--snapshot', ...args], outbox.env);
  expect(refusal).toMatchObject({ code: 'EVENT_STREAM_NAME', exitCode: 68 });
  expect(refusal.message).toContain(poison);
  expect(refusal.hint).toContain('`walrelay init --snapshot` again');
  await outbox.query('DELETE FROM outbox WHERE id = $1', [poison]);
}

test('the rows that are there are published once, in order, then what is committed after the slot', async () => {
  await using outbox = await oldOutbox(0);
  const oracle = await Oracle.create(outbox);
  await insertOld(outbox, 5000);
  const report = await snapshotted(outbox);
  expect(report).toMatchObject({ start: 'begin', rows: 5000, entries: 0, streamed: 0, published: 5000 });
  expect(await outbox.confirmedLsn()).toBe(report.slotLsn);
  const { snapshot, snapshot_selection: selection } = await outbox.redis.hgetall(outbox.metaKey);
  expect({ snapshot, selection }).toEqual({ snapshot: '', selection: '' });
  for (let count = 0; count < 3; count += 1) await outbox.insert();
  await relayAll(outbox);
  expect(await expectSnapshotExact(outbox, oracle, report.slotLsn)).toEqual({ snapshot: 5000, relayed: 3 });
  const [entry] = await readAllEntries(outbox);
  expect(Object.keys(entry?.fields ?? {})).toEqual([
    'id',
    'type',
    'aggregate_type',
    'aggregate_id',
    'payload',
    'snapshot_at',
  ]);
  const audit = await runCli(['audit', '--json'], outbox.env);
  expect(audit.exitCode).toBe(0);
  expect(JSON.parse(audit.stdout)).toMatchObject({
    findings: { missing: 0, duplicated: 0, altered: 0 },
    notes: { fromSnapshot: 5000, recovered: 0 },
  });
});

test('a dry run counts the rows and shows what the first would become, and changes nothing', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await createOldTable(outbox);
  await outbox.query('DROP PUBLICATION walrelay');
  const first = await outbox.insert({ payload: '{"total": 42}' });
  await outbox.insert();
  const told = await snapshotCli(outbox, ['--dry-run']);
  expect(told.exitCode).toBe(0);
  expect(told.stdout).toMatch(/^rows +2$/m);
  expect(told.stdout).toMatch(/^to publish +2 in the order of created_at$/m);
  expect(told.stdout).toContain(`The first would be, in ${outbox.stream()}:`);
  expect(told.stdout).toContain('{"total": 42}');
  const { tables } = await snapshotted(outbox, ['--dry-run']);
  expect(tables[0]?.sample).toEqual({
    stream: outbox.stream(),
    fields: {
      id: first,
      type: 'created',
      aggregate_type: 'order',
      aggregate_id: '1',
      payload: '{"total": 42}',
    },
  });
  expect(await outbox.query('SELECT 1 FROM pg_publication')).toEqual([]);
  expect(await outbox.query('SELECT 1 FROM pg_replication_slots WHERE database = $1', [outbox.name])).toEqual(
    [],
  );
  expect(await outbox.redis.keys(`*${outbox.name}*`)).toEqual([]);
});

test('a filter and an order of their own: only these rows, in that order, also by the run that finishes', async () => {
  await using outbox = await oldOutbox(30);
  await outbox.query("ALTER TABLE outbox ADD n int GENERATED ALWAYS AS (((payload ->> 'n')::int)) STORED");
  const args = ['--where', 'n % 2 = 0 OR n IS NULL -- the even ones', '--order-by', 'n', '--since', '10'];
  const [row] = await outbox.query<{ id: string }>(
    "INSERT INTO outbox (aggregatetype, type, payload) VALUES ('no name', 't', '{\"n\": 100}') RETURNING id",
  );
  expect(await refusedCommand(['init', '--snapshot', ...args], outbox.env)).toMatchObject({
    code: 'EVENT_STREAM_NAME',
  });
  await outbox.query('DELETE FROM outbox WHERE id = $1', [row?.id]);
  const other = await refusedCommand(['init', '--snapshot', '--where', 'n > 3'], outbox.env);
  expect(other).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
  expect(other.message).toContain('n % 2 = 0');
  expect(await snapshotted(outbox)).toMatchObject({ start: 'continue', rows: 11, entries: 11, published: 0 });
  const numbers = new Map<string, number[]>();
  for (const { stream, fields } of await readAllEntries(outbox)) {
    const { n } = JSON.parse(fields['payload'] ?? '') as { n: number };
    numbers.set(stream, [...(numbers.get(stream) ?? []), n]);
  }
  const all = [...numbers.values()];
  expect(all.flat().toSorted((a, b) => a - b)).toEqual([10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30]);
  for (const list of all) expect(list).toEqual(list.toSorted((a, b) => a - b));
  await expectRelays(outbox);
});

test('a filter that is no condition, or more than one, is refused before anything is changed', async () => {
  await using outbox = await oldOutbox(1);
  for (const where of ['nothing > 1', 'true); DROP TABLE outbox; SELECT (true', 'SELECT']) {
    const refusal = await refusedCommand(['init', '--snapshot', '--where', where], outbox.env);
    expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
    expect(refusal.message).toContain('--where');
  }
  expect(await refusedCommand(['init', '--snapshot', '--since', 'some day'], outbox.env)).toMatchObject({
    code: 'CONFIG_INVALID',
  });
  expect(await refusedCommand(['init', '--snapshot', '--order-by', 'nothing'], outbox.env)).toMatchObject({
    code: 'COLUMN_MISSING',
  });
  expect(await refusedCommand(['init', '--where', 'true'], outbox.env)).toMatchObject({
    code: 'CONFIG_INVALID',
  });
  expect(await outbox.query('SELECT 1 FROM outbox')).toHaveLength(1);
  expect(await outbox.redis.exists(outbox.metaKey)).toBe(0);
  expect(
    await outbox.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [outbox.name]),
  ).toEqual([]);
});

test('while a snapshot has not ended nothing else starts, and each says which command finishes it', async () => {
  await using outbox = await oldOutbox(3);
  await interrupt(outbox);
  const run = await refusedRun(outbox);
  expect(run).toMatchObject({ code: 'SNAPSHOT_UNFINISHED', exitCode: 67 });
  expect(run.hint).toContain('`walrelay init --snapshot`');
  for (const args of [['init'], ['recover', '--yes'], ['audit']]) {
    expect(await refusedCommand(args, outbox.env)).toMatchObject({
      code: 'SNAPSHOT_UNFINISHED',
      exitCode: 67,
    });
  }
  const accepted = await runCli(['epoch', 'accept'], outbox.env);
  expect(accepted.stdout).toContain('SNAPSHOT_UNFINISHED');
  expect(accepted.stdout).toContain('rows that it has not published yet');

  const later = await outbox.insert();
  const report = await snapshotted(outbox);
  expect(report).toMatchObject({ start: 'continue', entries: 3, streamed: 1, published: 0 });
  await relayAll(outbox);
  expect((await idsOf(outbox)).at(-1)).toBe(later);
  const entries = await readAllEntries(outbox);
  expect(
    entries.filter(({ fields }) => fields['lsn'] !== undefined).map(({ fields }) => fields['id']),
  ).toEqual([later]);
});

test('rows that come, change and go between an interruption and the next run are each published once', async () => {
  await using outbox = await oldOutbox(0);
  await insertOld(outbox, 300);
  const poison = await outbox.insert({ aggregateType: 'no name' });
  await insertOld(outbox, 300);
  expect(await refusedCommand(['init', '--snapshot'], outbox.env)).toMatchObject({
    code: 'EVENT_STREAM_NAME',
  });
  // Rows of before get a new version, as a poller gives them that marks what it has sent.
  await outbox.query("UPDATE outbox SET aggregatetype = 'order' WHERE id = $1", [poison]);
  await outbox.query('UPDATE outbox SET created_at = created_at');
  const later = [await outbox.insert(), await outbox.insert()];
  const gone = await outbox.insert();
  await outbox.query('DELETE FROM outbox WHERE id = $1', [gone]);
  const report = await snapshotted(outbox);
  expect(report).toMatchObject({ start: 'continue', rows: 603, entries: 300, streamed: 3, published: 301 });
  await relayAll(outbox);
  const entries = await readAllEntries(outbox);
  expect(entries).toHaveLength(604);
  const relayed = entries.filter(({ fields }) => fields['lsn'] !== undefined);
  expect(relayed.map(({ fields }) => fields['id'])).toEqual([...later, gone]);
});

test('after a plain init, and before a relay has relayed anything, the rows of before can still be published', async () => {
  await using outbox = await oldOutbox(0);
  const oracle = await Oracle.create(outbox);
  await insertOld(outbox, 100);
  await outbox.init();
  const slotLsn = await outbox.confirmedLsn();
  const later = await outbox.insert();
  // What stands in the slot is no reason against it; nor is a relay that had nothing to do, if it never relayed.
  const report = await snapshotted(outbox);
  expect(report).toMatchObject({ start: 'add', rows: 101, streamed: 1, published: 100, slotLsn });
  await relayAll(outbox);
  expect(await expectSnapshotExact(outbox, oracle, slotLsn)).toEqual({ snapshot: 100, relayed: 1 });
  expect((await idsOf(outbox)).at(-1)).toBe(later);
});

test('once a relay has relayed, a snapshot is refused: its rows would come behind newer ones', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  const before = await outbox.redis.hgetall(outbox.metaKey);
  expect(await refusedCommand(['init', '--snapshot'], outbox.env)).toMatchObject({
    code: 'SNAPSHOT_TOO_LATE',
    exitCode: 67,
  });
  expect(await outbox.redis.hgetall(outbox.metaKey)).toEqual(before);
  // Also while one runs; and again after an epoch that an operator accepted.
  const daemon = outbox.start();
  await daemon.streaming();
  expect(await refusedCommand(['init', '--snapshot'], outbox.env)).toMatchObject({
    code: 'SLOT_IN_USE',
    exitCode: 69,
  });
  await daemon.stop();
  await dropSlot(outbox);
  await acceptEpoch(outbox);
  expect(await refusedCommand(['init', '--snapshot'], outbox.env)).toMatchObject({
    code: 'SNAPSHOT_TOO_LATE',
  });
});

test('streams that hold entries already are refused, unless they are to be skipped by their ids', async () => {
  await using outbox = await oldOutbox(6);
  const [first] = await outbox.query<{ id: string; aggregatetype: string }>(
    'SELECT id::text, aggregatetype FROM outbox ORDER BY created_at LIMIT 1',
  );
  const stream = outbox.stream(first?.aggregatetype);
  await outbox.redis.xadd(stream, '*', 'id', first?.id ?? '', 'payload', 'as it was polled');
  const refusal = await refusedCommand(['init', '--snapshot'], outbox.env);
  expect(refusal).toMatchObject({ code: 'SNAPSHOT_IN_DOUBT', exitCode: 67 });
  expect(refusal.message).toContain(stream);
  expect(refusal.hint).toContain('--skip-published');
  expect(await outbox.redis.exists(outbox.metaKey)).toBe(0);
  expect(
    await outbox.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [outbox.name]),
  ).toEqual([]);
  expect(await snapshotted(outbox, ['--skip-published'])).toMatchObject({
    entries: 1,
    rows: 6,
    published: 5,
  });
  expect(await readAllEntries(outbox)).toHaveLength(6);
  await expectRelays(outbox);
});

test('streams that were trimmed before the snapshot had ended are refused, unless that is what is wanted', async () => {
  await using outbox = await oldOutbox(9);
  await interrupt(outbox);
  await outbox.redis.xtrim(outbox.stream(), 'MAXLEN', 1);
  const refusal = await refusedCommand(['init', '--snapshot'], outbox.env);
  expect(refusal).toMatchObject({ code: 'SNAPSHOT_IN_DOUBT', exitCode: 67 });
  expect(refusal.hint).toContain('--republish-trimmed');
  expect(await snapshotted(outbox, ['--republish-trimmed'])).toMatchObject({ entries: 7, published: 2 });
});

test('a role that may not read the table, or not all of its rows, is refused with the grant before anything is changed', async () => {
  await using outbox = await oldOutbox(3);
  const role = `${outbox.name}_role`;
  await outbox.query(`CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'reads-the-table'`);
  const url = new URL(outbox.databaseUrl);
  url.username = role;
  url.password = 'reads-the-table';
  const env = { ...outbox.env, DATABASE_URL: url.href };
  try {
    const refusal = await refusedCommand(['init', '--snapshot'], env);
    expect(refusal).toMatchObject({ code: 'PG_PRIVILEGE', exitCode: 65 });
    expect(refusal.hint).toContain('GRANT SELECT ON "public"."outbox"');
    await outbox.query(`GRANT SELECT ON outbox TO ${role}; ALTER TABLE outbox ENABLE ROW LEVEL SECURITY`);
    expect(await refusedCommand(['init', '--snapshot'], env)).toMatchObject({
      code: 'PG_PRIVILEGE',
      exitCode: 65,
    });
    expect(await outbox.redis.exists(outbox.metaKey)).toBe(0);
    await outbox.query('ALTER TABLE outbox DISABLE ROW LEVEL SECURITY');
    expect(await snapshotted(outbox, [], { DATABASE_URL: url.href })).toMatchObject({ published: 3 });
  } finally {
    await outbox.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
});

test('rows without an id are refused, since nobody could tell later whether they stand', async () => {
  await using outbox = await oldOutbox(2);
  await outbox.query(
    'ALTER TABLE outbox DROP CONSTRAINT outbox_pkey; ALTER TABLE outbox ALTER id DROP NOT NULL',
  );
  await outbox.query("INSERT INTO outbox (id, aggregatetype, payload) VALUES (NULL, 'order', '{}')");
  const refusal = await refusedCommand(['init', '--snapshot'], outbox.env);
  expect(refusal).toMatchObject({ code: 'COLUMN_UNSUITABLE', exitCode: 65 });
  const where = /--where '(.*)'/.exec(refusal.hint)?.[1] ?? '';
  expect(await snapshotted(outbox, ['--where', where])).toMatchObject({ published: 2 });
});

test('a Redis that is full stops the snapshot with the reason; with room again it goes on where it stopped', async () => {
  await using outbox = await oldOutbox(0);
  const oracle = await Oracle.create(outbox);
  await insertOld(outbox, 2000);
  await interruptFull(outbox);
  expect(await refusedRun(outbox)).toMatchObject({ code: 'SNAPSHOT_UNFINISHED' });
  const report = await snapshotted(outbox);
  expect(report.start).toBe('continue');
  await relayAll(outbox);
  expect(await expectSnapshotExact(outbox, oracle, report.slotLsn)).toMatchObject({ snapshot: 2000 });
});

/** Fills Redis up as soon as some rows are published. */
async function interruptFull(outbox: Outbox): Promise<void> {
  const snapshot = outbox.start({ WALRELAY_BATCH_EVENTS_MAX: '5' }, { args: ['init', '--snapshot'] });
  await outbox.waitForLength(outbox.stream(), 20);
  await outbox.redis.config('SET', 'maxmemory', '1');
  try {
    const { exitCode, stderr } = await snapshot.exited;
    expect(exitCode).toBe(69);
    expect(stderr).toContain('REDIS_FULL');
  } finally {
    await outbox.redis.config('SET', 'maxmemory', '0');
  }
}

test('a Redis that lost the lane state after the snapshot is told from a fresh start', async () => {
  await using outbox = await oldOutbox(4);
  await snapshotted(outbox);
  await outbox.redis.del(outbox.metaKey);
  const run = await refusedRun(outbox);
  expect(run).toMatchObject({ code: 'LANE_MISSING', exitCode: 67 });
  expect(run.hint).toContain('`walrelay init --snapshot`');
  expect(await refusedCommand(['init'], outbox.env)).toMatchObject({ code: 'LANE_MISSING' });
  expect(await snapshotted(outbox, ['--skip-published'])).toMatchObject({
    start: 'add',
    entries: 4,
    published: 0,
  });
  await expectRelays(outbox);
});

test('a slot that is lost before the snapshot has ended is made anew, and what stands is skipped', async () => {
  await using outbox = await oldOutbox(8);
  await interrupt(outbox);
  await dropSlot(outbox);
  const later = await outbox.insert();
  expect(await refusedCommand(['recover', '--yes'], outbox.env)).toMatchObject({
    code: 'SNAPSHOT_UNFINISHED',
  });
  expect(await snapshotted(outbox)).toMatchObject({ start: 'anew', rows: 9, entries: 8, published: 1 });
  const entries = await readAllEntries(outbox);
  expect(entries.map(({ fields }) => fields['id'])).toContain(later);
  expect(entries).toHaveLength(9);
  await expectRelays(outbox);
});

test('a partitioned table is published across its partitions, in order', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await outbox.query(`CREATE TABLE outbox (id uuid DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text,
      type text, payload jsonb, n int, created_at timestamptz DEFAULT clock_timestamp()) PARTITION BY HASH (n);
    CREATE TABLE outbox_0 PARTITION OF outbox FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE outbox_1 PARTITION OF outbox FOR VALUES WITH (MODULUS 2, REMAINDER 1)`);
  await outbox.query(`INSERT INTO outbox (aggregatetype, aggregateid, type, payload, n)
    SELECT 'order', 'a', 't', to_jsonb(n), n FROM generate_series(1, 1000) n`);
  expect(await snapshotted(outbox)).toMatchObject({ rows: 1000, published: 1000 });
  const entries = await readAllEntries(outbox);
  expect(entries.map(({ fields }) => Number(fields['payload']))).toEqual(
    Array.from({ length: 1000 }, (_, n) => n + 1),
  );
  await expectRelays(outbox);
});

test('an empty table is no reason to stop', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  expect(await snapshotted(outbox, ['--create-table'])).toMatchObject({ rows: 0, published: 0 });
  await expectRelays(outbox);
});
