import { expect, inject, test } from 'vitest';
import { Oracle } from '../support/exactness.ts';
import { listedOutboxes } from '../support/listed-outboxes.ts';
import type { Outbox } from '../support/outbox.ts';
import { dropSlot, readAllEntries, relayAll } from '../support/recovered.ts';
import { refusedCommand, refusedRun } from '../support/setup-refusal.ts';
import {
  createOldTable,
  expectSnapshotExact,
  insertOld,
  snapshotCli,
  snapshotted,
} from '../support/snapshotted.ts';

/** `walrelay init --snapshot` of several tables. */

const TABLES = ['orders', 'returns'] as const;

function listed(yaml: (name: string) => string): Promise<Outbox> {
  return listedOutboxes({ databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl') }, yaml);
}

/** Two tables, which share their streams, and the publication. */
async function twoTables(): Promise<Outbox> {
  const outbox = await listed(
    () => `outboxes: [{ table: orders, name: orders }, { table: returns, name: returns }]`,
  );
  await createOldTable(outbox, TABLES);
  return outbox;
}

async function insertInto(outbox: Outbox, table: string, aggregateType = 'order'): Promise<string> {
  const [row] = await outbox.query<{ id: string }>(
    `INSERT INTO ${table} (aggregatetype, aggregateid, type, payload) VALUES ($1, 'a', 't', '{}') RETURNING id::text`,
    [aggregateType],
  );
  return row?.id ?? '';
}

/** A row in front of which a snapshot stops. */
const insertPoison = (outbox: Outbox, table: string) => insertInto(outbox, table, 'no name');

async function stopsAt(outbox: Outbox, poison: string): Promise<void> {
  const refusal = await refusedCommand(['init', '--snapshot'], {
    ...outbox.env,
    WALRELAY_BATCH_EVENTS_MAX: '7',
  });
  expect(refusal).toMatchObject({ code: 'EVENT_STREAM_NAME', exitCode: 68 });
  expect(refusal.message).toContain(poison);
}

test('the rows of all tables are published in the order of the list, as of one moment, then what is committed after it', async () => {
  await using outbox = await listed(
    (name) => `
outboxes:
  - { table: orders, name: orders }
  - table: billing
    name: billing
    columnId: nr
    columnType: kind
    columnAggregateType: none
    columnAggregateId: none
    columnPayload: doc
    columnTime: made_at
    format: cloudevents-structured
    stream: ${name}.billing
  - { table: returns, name: returns }`,
  );
  await createOldTable(outbox, TABLES);
  await outbox.query(`CREATE TABLE billing (nr bigserial PRIMARY KEY, kind text, doc jsonb, made_at timestamptz DEFAULT clock_timestamp());
    ALTER PUBLICATION walrelay ADD TABLE billing`);
  const oracle = await Oracle.create(outbox, TABLES);
  await insertOld(outbox, 1500, 'returns');
  await insertOld(outbox, 1000, 'orders');
  await outbox.query(
    `INSERT INTO billing (kind, doc) SELECT 'k', jsonb_build_object('n', n) FROM generate_series(1, 300) n`,
  );

  const dry = await snapshotted(outbox, ['--dry-run']);
  expect(dry.tables.map(({ outbox: name, missing, sample }) => [name, missing, sample?.stream])).toEqual([
    ['orders', 1000, outbox.stream('customer')],
    ['billing', 300, outbox.stream('billing')],
    ['returns', 1500, outbox.stream('customer')],
  ]);
  expect(await outbox.redis.exists(outbox.metaKey)).toBe(0);

  const report = await snapshotted(outbox);
  expect(report).toMatchObject({ start: 'begin', rows: 2800, entries: 0, streamed: 0, published: 2800 });
  expect(report.tables).toMatchObject([
    { outbox: 'orders', orderColumn: 'created_at', rows: 1000, published: 1000 },
    { outbox: 'billing', orderColumn: 'made_at', rows: 300, published: 300 },
    { outbox: 'returns', orderColumn: 'created_at', rows: 1500, published: 1500 },
  ]);
  await outbox.query(`BEGIN;
    INSERT INTO orders (aggregatetype, aggregateid, type, payload) VALUES ('order', 'a', 't', '{}');
    INSERT INTO returns (aggregatetype, aggregateid, type, payload) VALUES ('order', 'a', 't', '{}');
    COMMIT`);
  await relayAll(outbox);
  const billing = await outbox.redis.xrange(outbox.stream('billing'), '-', '+');
  const documents = billing.map(
    ([, [, event]]) => JSON.parse(event ?? '') as { id: string; data: { n: number } },
  );
  expect(documents.map(({ id, data }) => [id, data.n])).toEqual(
    Array.from({ length: 300 }, (_, n) => [String(n + 1), n + 1]),
  );
  await outbox.redis.del(outbox.stream('billing'));
  expect(await expectSnapshotExact(outbox, oracle, report.slotLsn, TABLES)).toEqual({
    snapshot: 2500,
    relayed: 2,
  });
});

test('interrupted within the first table, between two and within the second, it goes on there, whatever came and went meanwhile', async () => {
  await using outbox = await twoTables();
  const oracle = await Oracle.create(outbox, TABLES);
  const poisons: [string, string][] = [];
  const add = async (table: string, count: number) => {
    await insertOld(outbox, count, table);
    poisons.push([table, await insertPoison(outbox, table)]);
  };
  await add('orders', 100);
  await insertOld(outbox, 200, 'orders');
  await add('returns', 0);
  await add('returns', 50);
  await insertOld(outbox, 60, 'returns');

  let slotLsn = '';
  for (const [table, poison] of poisons) {
    await stopsAt(outbox, poison);
    slotLsn ||= await outbox.confirmedLsn();
    expect(await outbox.confirmedLsn()).toBe(slotLsn);
    const run = await refusedRun(outbox);
    expect(run).toMatchObject({ code: 'SNAPSHOT_UNFINISHED', exitCode: 67 });
    expect(run.message).toMatch(/\d+ of \d+ rows of orders, \d+ of \d+ rows of returns/);
    // It can pass now, and all rows have new versions.
    await outbox.query(`UPDATE ${table} SET aggregatetype = 'order' WHERE id = $1`, [poison]);
    for (const each of TABLES) {
      await outbox.query(`UPDATE ${each} SET created_at = created_at`);
      await insertInto(outbox, each);
      const gone = await insertInto(outbox, each);
      await outbox.query(`DELETE FROM ${each} WHERE id = $1`, [gone]);
    }
  }
  const report = await snapshotted(outbox);
  expect(report).toMatchObject({
    start: 'continue',
    slotLsn,
    streamed: 12,
    tables: [{ missing: 0 }, { missing: 61, published: 61 }],
  });
  await relayAll(outbox);
  // What could not pass was committed under a name that the oracle has seen.
  const ids = new Map((await readAllEntries(outbox)).map(({ fields }) => [fields['id'], fields]));
  for (const [, poison] of poisons) expect(ids.get(poison)).toHaveProperty('snapshot_at');
  const entries = await readAllEntries(outbox);
  expect(entries).toHaveLength(413 + 12);
  expect(new Set(entries.map(({ fields }) => fields['id'])).size).toBe(425);
  expect(new Set((await oracle.read()).map(({ id }) => id))).toEqual(new Set(ids.keys()));
});

test('tables may have the same ids where their streams differ, also when it is interrupted', async () => {
  await using outbox = await listed(
    () => `
columnTime: none
pollOrderColumn: id
outboxes: [{ table: orders, name: orders }, { table: returns, name: returns }]`,
  );
  for (const [table, type] of [
    ['orders', 'order'],
    ['returns', 'return'],
  ]) {
    await outbox.query(`CREATE TABLE ${table} (id bigserial PRIMARY KEY, aggregatetype text DEFAULT '${type}', aggregateid text,
      type text, payload jsonb DEFAULT '{}')`);
  }
  const insert = async (table: string, count: number) => {
    await outbox.query(`INSERT INTO ${table} (type) SELECT 't' FROM generate_series(1, $1::int)`, [count]);
  };
  await insert('orders', 40);
  await insert('returns', 20);
  await outbox.query("INSERT INTO returns (aggregatetype) VALUES ('no name')");
  await insert('returns', 5);
  await stopsAt(outbox, '21');
  // Published rows are cleaned up; later ones of a table have ids that old rows of the other one have.
  await outbox.query(
    "DELETE FROM returns WHERE aggregatetype = 'no name' OR id < 10; DELETE FROM orders WHERE id < 5",
  );
  await insert('returns', 14);
  await outbox.query('DELETE FROM returns WHERE id > 35');
  expect(await snapshotted(outbox)).toMatchObject({
    start: 'continue',
    entries: 60,
    streamed: 14,
    published: 5,
  });
  await relayAll(outbox);
  const idsIn = async (stream: string) =>
    (await outbox.redis.xrange(outbox.stream(stream), '-', '+')).map(([, [, id]]) => Number(id));
  const upTo = (last: number) => Array.from({ length: last }, (_, n) => n + 1);
  expect(await idsIn('order')).toEqual(upTo(40));
  expect(await idsIn('return')).toEqual(upTo(40).filter((id) => id !== 21));
});

test('the same id of two tables for one stream is refused before anything is changed', async () => {
  await using outbox = await twoTables();
  await insertOld(outbox, 3, 'orders');
  await outbox.query('INSERT INTO returns SELECT * FROM orders LIMIT 1');
  const refusal = await refusedCommand(['init', '--snapshot'], outbox.env);
  expect(refusal).toMatchObject({ code: 'COLUMN_UNSUITABLE', exitCode: 65 });
  expect(refusal.message).toContain('orders and returns both have a row with the id');
  expect(await outbox.redis.exists(outbox.metaKey)).toBe(0);
  expect(
    await outbox.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [outbox.name]),
  ).toEqual([]);
  await outbox.query("UPDATE returns SET aggregatetype = 'return'");
  expect(await snapshotted(outbox)).toMatchObject({ published: 4 });
});

test('a filter is for one table: each takes its own snapshot, and both are of the moment when the slot began', async () => {
  await using outbox = await twoTables();
  const oracle = await Oracle.create(outbox, TABLES);
  await insertOld(outbox, 30, 'orders');
  const where = ['--where', "(payload ->> 'n')::int > 10"];
  const refusal = await refusedCommand(['init', '--snapshot', ...where], outbox.env);
  expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
  expect(refusal.hint).toContain('--outbox');
  expect(await refusedCommand(['init', '--snapshot', '--outbox', 'other'], outbox.env)).toMatchObject({
    code: 'CONFIG_INVALID',
  });
  expect(await refusedCommand(['init', '--outbox', 'orders'], outbox.env)).toMatchObject({
    code: 'CONFIG_INVALID',
  });

  const told = await snapshotCli(outbox, ['--outbox', 'orders', ...where]);
  expect(told.exitCode).toBe(0);
  expect(told.stdout).toMatch(/^published +20 in the order of created_at$/m);
  expect(told.stdout).toContain('walrelay init --snapshot --outbox returns');

  const poison = await insertPoison(outbox, 'returns');
  expect(await snapshotted(outbox, ['--outbox', 'returns', '--skip-published'])).toMatchObject({
    start: 'add',
    rows: 1,
    streamed: 1,
    published: 0,
  });
  await outbox.query('DELETE FROM returns WHERE id = $1', [poison]);
  expect(await oracle.read()).toHaveLength(31);
  expect(await readAllEntries(outbox)).toHaveLength(20);
});

test('an interrupted one of one table goes on with that table; with its slot lost it is not finished alone', async () => {
  await using outbox = await twoTables();
  await insertOld(outbox, 5, 'orders');
  await insertOld(outbox, 6, 'returns');
  const poison = await insertPoison(outbox, 'returns');
  const refusal = await refusedCommand(['init', '--snapshot', '--outbox', 'returns'], outbox.env);
  expect(refusal).toMatchObject({ code: 'EVENT_STREAM_NAME' });
  await outbox.query('DELETE FROM returns WHERE id = $1', [poison]);
  expect(await refusedCommand(['init', '--snapshot', '--outbox', 'orders'], outbox.env)).toMatchObject({
    code: 'CONFIG_INVALID',
  });
  await dropSlot(outbox);
  const lost = await refusedCommand(['init', '--snapshot'], outbox.env);
  expect(lost).toMatchObject({ code: 'SNAPSHOT_IN_DOUBT', exitCode: 67 });
  expect(lost.hint).toContain(`DEL ${outbox.metaKey}`);
  await outbox.redis.del(outbox.metaKey, ...(await outbox.redis.keys(`${outbox.name}.*`)));
  expect(await snapshotted(outbox)).toMatchObject({ start: 'begin', published: 11 });
  await relayAll(outbox);
});

test('an outbox whose entries tell no ids is refused by name, and can be left out', async () => {
  await using outbox = await listed(
    (name) =>
      `outboxes: [{ table: orders, name: orders }, { table: returns, name: returns, format: raw, stream: ${name}.raw }]`,
  );
  await createOldTable(outbox, TABLES);
  await insertOld(outbox, 4, 'orders');
  await insertOld(outbox, 4, 'returns');
  const refusal = await refusedCommand(['init', '--snapshot'], outbox.env);
  expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
  expect(refusal.message).toContain('the entries of returns are raw');
  expect(await outbox.redis.exists(outbox.metaKey)).toBe(0);
  expect(await snapshotted(outbox, ['--outbox', 'orders'])).toMatchObject({ published: 4 });
});
