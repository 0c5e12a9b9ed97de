import { Client, type ClientConfig } from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { Outbox } from '../support/outbox.ts';
import { expectRelays, refusedCommand, refusedRun } from '../support/setup-refusal.ts';

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ settings: { max_wal_senders: '1', max_replication_slots: '1' } });
});
afterAll(async () => {
  await server.dispose();
});

async function asSuperuser(sql: string): Promise<void> {
  const client = new Client({ connectionString: server.url });
  await client.connect();
  await client.query(sql);
  await client.end();
}

async function restart(): Promise<void> {
  await server.stop();
  await server.start();
}

const createOutbox = (isInitialized = true) =>
  Outbox.create({ databaseUrl: server.url, redisUrl: inject('redisUrl'), isInitialized });

test('a Postgres without a free slot is named by init, which goes on once there is one', async () => {
  await using outbox = await createOutbox(false);
  await outbox.query("SELECT pg_create_physical_replication_slot('taken')");
  const refusal = await refusedCommand(['init', '--create-table'], outbox.env);
  expect(refusal).toMatchObject({ code: 'PG_BUSY', exitCode: 69 });
  expect(refusal.message).toContain('all replication slots are in use');
  expect(refusal.hint).toContain('pg_replication_slots');
  expect(refusal.hint).toContain('max_replication_slots');
  await outbox.query("SELECT pg_drop_replication_slot('taken')");
  await outbox.init();
  await expectRelays(outbox);
});

test('a Postgres without a free walsender is waited for, and named when the start timeout ends the wait', async () => {
  await using outbox = await createOutbox();
  const holder = new Client({
    connectionString: outbox.databaseUrl,
    replication: 'database',
  } as ClientConfig);
  await holder.connect();
  const refusal = await refusedRun(outbox, { WALRELAY_START_TIMEOUT_MS: '1' });
  expect(refusal).toMatchObject({ code: 'PG_BUSY', exitCode: 69 });
  expect(refusal.message).toContain('53300');
  expect(refusal.hint).toContain('max_wal_senders');

  const daemon = outbox.start();
  await daemon.waitForLog('session ended; a new one follows');
  await holder.end();
  await daemon.streaming();
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test('wal_level below logical is refused with the statement; after it and a restart everything works', async () => {
  await asSuperuser("ALTER SYSTEM SET wal_level = 'replica'");
  await restart();
  await using outbox = await createOutbox(false);
  const refusal = await refusedCommand(['init', '--create-table'], outbox.env);
  expect(refusal).toMatchObject({ code: 'WAL_LEVEL', exitCode: 65 });
  expect(refusal.message).toContain("wal_level is 'replica'");
  expect(await refusedRun(outbox)).toMatchObject({ code: 'WAL_LEVEL', exitCode: 65 });
  const [statement = ''] = refusal.hint.split(';');
  await asSuperuser(statement);
  await restart();
  await outbox.init('--create-table');
  await expectRelays(outbox);
});
