import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import {
  BEGUN,
  CleanUpBeside,
  countRows,
  EAGER,
  waitForHorizon,
  waitForRows,
} from '../support/cleaned-outbox.ts';
import { type Env, runCli } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/** The clean-up of several outboxes in one relay: each by its own settings, none of them before it is confirmed. */

const DAY_MS = 86_400_000;
const TABLES = ['orders', 'invoices', 'events', 'ledger'] as const;
const FAILED = 'the clean-up failed; the relay goes on, and it is tried again';

const COLUMNS = 'aggregatetype text, aggregateid text, type text, payload jsonb';
const EVENTS_SQL = readFileSync(new URL('../../postgres/outbox-partitioned.sql', import.meta.url), 'utf8')
  .replaceAll('"outbox', '"events')
  .replaceAll("'outbox_p'", "'events_p'");

async function createOutboxes(): Promise<Outbox> {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-clean-up-')), 'walrelay.yaml');
  const outbox = await createOutbox({ isInitialized: false, env: { ...EAGER, WALRELAY_CONFIG: path } });
  writeFileSync(
    path,
    `
outboxes:
  - { table: orders, stream: ${outbox.name}.orders }
  - { table: invoices, stream: ${outbox.name}.invoices, columnTime: none }
  - { table: events, stream: ${outbox.name}.events, cleanup: partitions, cleanupRetentionMs: ${2 * DAY_MS} }
  - { table: ledger, stream: ${outbox.name}.ledger, cleanup: none }
`,
  );
  for (const table of ['orders', 'invoices', 'ledger'])
    await outbox.query(
      `CREATE TABLE ${table} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), ${COLUMNS}, created_at timestamptz DEFAULT now())`,
    );
  await outbox.query(EVENTS_SQL);
  await noteWhatGoes(outbox);
  await outbox.init();
  return outbox;
}

/** Notes with each row that goes up to where the slot was confirmed at that moment; and keeps what somebody else deletes. */
async function noteWhatGoes(outbox: Outbox): Promise<void> {
  await outbox.query(`CREATE TABLE gone (source text, id uuid, confirmed pg_lsn);
    CREATE TABLE days (id uuid, name text);
    CREATE FUNCTION note_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF current_setting('application_name') NOT LIKE '%(clean-up)' THEN RETURN NULL; END IF;
      INSERT INTO gone SELECT TG_TABLE_NAME, old.id, confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '${outbox.name}';
      RETURN old; END $$;
    CREATE FUNCTION note_day() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO days VALUES (new.id, 'events_p' || to_char(new.created_at AT TIME ZONE 'UTC', 'YYYYMMDD'));
      RETURN new; END $$;
    CREATE TRIGGER note_day AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION note_day();
    CREATE FUNCTION note_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO gone SELECT 'events', days.id, s.confirmed_flush_lsn FROM pg_event_trigger_dropped_objects() d
        JOIN days ON days.name = d.object_name, pg_replication_slots s
        WHERE d.object_type = 'table' AND s.slot_name = '${outbox.name}'; END $$;
    CREATE EVENT TRIGGER ${outbox.name}_drop ON sql_drop EXECUTE FUNCTION note_drop()`);
  for (const table of ['orders', 'invoices', 'ledger'])
    await outbox.query(
      `CREATE TRIGGER note_delete BEFORE DELETE ON ${table} FOR EACH ROW EXECUTE FUNCTION note_delete()`,
    );
}

/** `count` transactions with a row for each table. */
async function insertInto(outbox: Outbox, count: number, tables: readonly string[] = TABLES): Promise<void> {
  const row = `(aggregatetype, aggregateid, type, payload) VALUES ('kind', '1', 't', '{}')`;
  const sql = tables.map((table) => `INSERT INTO ${table} ${row}`).join(';');
  for (let done = 0; done < count; done += 1) await outbox.query(sql);
}

/** How many rows of each table are gone; each had been confirmed by then, as its entry tells its commit. */
async function expectConfirmedBefore(outbox: Outbox): Promise<Record<string, number>> {
  const commits = new Map<string, bigint>();
  for (const table of TABLES) {
    for (const [, fields] of await outbox.redis.xrange(outbox.stream(table), '-', '+')) {
      const entry = new Map(
        fields.map((name, at) => [name, fields[at + 1] as string]).filter((_, at) => at % 2 === 0) as [
          string,
          string,
        ][],
      );
      commits.set(entry.get('id') as string, parseLsn(entry.get('lsn') as string));
    }
  }
  const counts: Record<string, number> = {};
  for (const { source, id, confirmed } of await outbox.query<{
    source: string;
    id: string;
    confirmed: string;
  }>('SELECT DISTINCT ON (id) source, id::text, confirmed::text FROM gone ORDER BY id, confirmed')) {
    const commitLsn = commits.get(id);
    expect(commitLsn).toBeDefined();
    expect(parseLsn(confirmed) > (commitLsn as bigint)).toBe(true);
    counts[source] = (counts[source] ?? 0) + 1;
  }
  return counts;
}

async function dayPartitions(outbox: Outbox): Promise<string[]> {
  const rows = await outbox.query<{ name: string }>(
    `SELECT c.relname AS name FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
     WHERE inhparent = 'events'::regclass AND c.relname LIKE 'events_p%' ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

function beside(outbox: Outbox, env: Env = {}, walSenderPid?: number): Promise<CleanUpBeside> {
  return CleanUpBeside.start(outbox, env, walSenderPid, TABLES);
}

test('each table goes by its own settings, and no row of any before it is confirmed; audit and recover know it', async () => {
  await using outbox = await createOutboxes();
  await insertInto(outbox, 2);
  const daemon = outbox.start();
  await waitFor('a clean-up of each table', () => daemon.log.filter(({ msg }) => msg === BEGUN).length === 3);
  await insertInto(outbox, 30);
  // Those of before stay: nobody says that they were relayed.
  for (const table of ['orders', 'invoices']) await waitForRows(outbox, (count) => count === 2, { table });
  await waitFor('the partitions of four days', async () => (await dayPartitions(outbox)).length === 4);
  expect(await countRows(outbox, 'ledger')).toBe(32);
  expect(await countRows(outbox, 'events')).toBe(32);
  expect(await expectConfirmedBefore(outbox)).toEqual({ orders: 30, invoices: 30 });
  const metrics = await (await fetch(`${await daemon.httpUrl()}/metrics`)).text();
  expect(metrics).toMatch(/^walrelay_cleanup_deleted_rows_total 60$/m);
  expect(metrics).toMatch(/^walrelay_cleanup_partition_days 4$/m);
  expect(metrics).toMatch(/^walrelay_cleanup_last_timestamp_seconds \d/m);
  const audited = await runCli(['audit', '--json'], outbox.env);
  expect(audited).toMatchObject({ exitCode: 0 });

  // For the first time a day past the retention: the partition of today goes, with what is confirmed, and not before.
  const today = (await dayPartitions(outbox))[0] as string;
  await using later = await beside(outbox, { WALRELAY_CLEANUP_OLDER_ROWS: 'delete' });
  later.daysAhead = 2;
  await waitFor('another look', () => later.log.filter(({ msg }) => msg === BEGUN).length === 3);
  expect(await dayPartitions(outbox)).toContain(today);
  later.daysAhead = 3;
  await waitForHorizon(outbox);
  // The relay, for which it is today, makes that one again, and it goes again.
  await waitFor(
    'the partition of today to go',
    async () => (await outbox.query("SELECT FROM gone WHERE source = 'events'")).length > 0,
  );
  expect(await expectConfirmedBefore(outbox)).toMatchObject({ events: 32 });
  expect(await countRows(outbox, 'ledger')).toBe(32);
  expect(daemon.log.filter(({ msg }) => msg === FAILED)).toEqual([]);

  // A relay that is gone confirms nothing, and so nothing goes.
  await daemon.kill();
  await insertInto(outbox, 5, ['orders', 'invoices', 'ledger']);
  await using without = await beside(outbox, { WALRELAY_CLEANUP_OLDER_ROWS: 'delete' }, -2);
  for (let checkpoint = 0; checkpoint < 3; checkpoint += 1) await outbox.query('CHECKPOINT');
  for (const table of ['orders', 'invoices']) expect(await countRows(outbox, table)).toBe(5);
  expect(without.log.filter(({ msg }) => msg === BEGUN)).toEqual([]);

  // What a lost slot had not sent is still there.
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
  const recovered = await runCli(['recover', '--yes', '--json'], outbox.env);
  expect(recovered).toMatchObject({ exitCode: 0 });
  for (const [table, count] of [
    ['orders', 37],
    ['invoices', 37],
    ['ledger', 37],
    ['events', 32],
  ] as const)
    expect(await outbox.redis.xlen(outbox.stream(table))).toBe(count);
}, 120_000);

test('a table that can not be cleaned up keeps none of the others waiting, and is told by its name', async () => {
  await using outbox = await createOutboxes();
  await outbox.query('ALTER TABLE orders RENAME COLUMN created_at TO made_at');
  const daemon = outbox.start();
  const failed = await daemon.waitForLog(FAILED);
  expect(failed).toMatchObject({ outbox: 'public.orders', code: 'COLUMN_MISSING' });
  await waitFor('a clean-up of the others', () => daemon.log.filter(({ msg }) => msg === BEGUN).length === 2);
  await insertInto(outbox, 10);
  await waitForRows(outbox, (count) => count === 0, { table: 'invoices' });
  expect(await countRows(outbox, 'orders')).toBe(10);
  const metrics = async () => await (await fetch(`${await daemon.httpUrl()}/metrics`)).text();
  // Of one table no look has ended well yet.
  expect(await metrics()).not.toMatch(/^walrelay_cleanup_last_timestamp_seconds/m);
  await outbox.query('ALTER TABLE orders RENAME COLUMN made_at TO created_at');
  await waitForRows(outbox, (count) => count === 0, { table: 'orders' });
  await waitFor('all tables to be told of', async () =>
    /^walrelay_cleanup_last_timestamp_seconds/m.test(await metrics()),
  );
  expect(await expectConfirmedBefore(outbox)).toEqual({ orders: 10, invoices: 10 });
  expect(daemon.log.filter(({ msg }) => msg === FAILED)).toHaveLength(1);
  expect((await daemon.stop()).exitCode).toBe(0);
}, 120_000);
