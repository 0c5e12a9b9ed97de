import { rmSync } from 'node:fs';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { copyFiles, startPostgresCopy } from '../../dev/servers/postgres-copy.ts';
import { runCli } from '../support/cli.ts';
import { Outbox } from '../support/outbox.ts';
import { inDatabase, runSql } from '../support/run-sql.ts';
import {
  acceptEpoch,
  expectRelays,
  idsOf,
  refusalOf,
  refusedCommand,
  refusedRun,
} from '../support/setup-refusal.ts';
import { waitFor } from '../support/wait-for.ts';

const INSERT = `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
  VALUES ('order', '1', 'created', '{}') RETURNING id`;

const PROMOTE = 'SELECT pg_promote(true, 30)';

let primary: PostgresServer;

beforeAll(async () => {
  primary = await startPostgres();
});
afterAll(async () => {
  await primary.dispose();
});

const createOutbox = () => Outbox.create({ databaseUrl: primary.url, redisUrl: inject('redisUrl') });

/** Relays what is there and one more event to its confirmation, and stops. */
async function relayOne(outbox: Outbox): Promise<string> {
  const daemon = outbox.start();
  await daemon.streaming();
  const id = await outbox.insert();
  await outbox.waitUntilConfirmed();
  await daemon.stop();
  return id;
}

/** Starts a relay on another server than the outbox's own, and stops it once the events have arrived. */
async function relayUntil(
  outbox: Outbox,
  env: Record<string, string>,
  ids: readonly string[],
): Promise<void> {
  const daemon = outbox.start(env);
  await daemon.streaming();
  await waitFor('the events to arrive', async () => {
    const there = await idsOf(outbox);
    return ids.every((id) => there.includes(id));
  });
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
}

async function idOf(rows: Promise<Record<string, unknown>[]>): Promise<string> {
  return String((await rows)[0]?.['id']);
}

test('the promotion of a standby that had everything is noted and survived; the old primary is refused', async () => {
  await using outbox = await createOutbox();
  const relayed = await relayOne(outbox);
  const waiting = await outbox.insert();
  await primary.stop();
  await using promoted = await startPostgresCopy(primary, { isStandby: true });
  await runSql(promoted.url, PROMOTE);
  const env = { DATABASE_URL: inDatabase(promoted.url, outbox.name) };
  const fresh = await idOf(runSql(env.DATABASE_URL, INSERT));
  await relayUntil(outbox, env, [waiting, fresh]);
  expect(await idsOf(outbox)).toEqual([relayed, waiting, fresh]);
  expect(await outbox.redis.hget(outbox.metaKey, 'timeline')).toBe('2');

  await primary.start();
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'TIMELINE_BEHIND', exitCode: 67 });
  expect(refusal.message).toContain('timeline 1, Redis has entries from timeline 2');
  expect(refusal.hint).toContain('current primary');
  const accept = await runCli(['epoch', 'accept'], outbox.env);
  expect(accept.exitCode).toBe(67);
  expect(accept.stdout).toContain('Streams may hold events that this server does not have');
  await relayUntil(outbox, env, []);
});

test('the promotion of a standby that lacked relayed events is a fork: the relay stops until it is accepted', async () => {
  await using outbox = await createOutbox();
  await relayOne(outbox);
  await primary.stop();
  await using promoted = await startPostgresCopy(primary, { isStandby: true });
  await primary.start();
  const onlyHere = await relayOne(outbox);
  await runSql(promoted.url, PROMOTE);
  const env = { DATABASE_URL: inDatabase(promoted.url, outbox.name) };
  const slot = `SELECT confirmed_flush_lsn::text AS lsn FROM pg_replication_slots WHERE slot_name = '${outbox.name}'`;
  const before = await runSql(env.DATABASE_URL, slot);
  const refusal = await refusedRun(outbox, env);
  expect(refusal).toMatchObject({ code: 'TIMELINE_FORK', exitCode: 67 });
  expect(refusal.message).toContain('the lost primary had committed them, this server has not');
  expect(refusal.hint).toContain('walrelay epoch accept');
  expect(await runSql(env.DATABASE_URL, slot)).toEqual(before);

  const accepted = await acceptEpoch(outbox, env);
  expect(accepted).toContain('Streams may hold events that this server never had');
  const fresh = await idOf(runSql(env.DATABASE_URL, INSERT));
  await relayUntil(outbox, env, [fresh]);
  expect(await idsOf(outbox)).toContain(onlyHere);
});

test('after a fork is accepted, what both histories have in common does not come twice', async () => {
  await using outbox = await createOutbox();
  // Relayed and never confirmed: the promoted server sends it again.
  const hasty = outbox.start({ WALRELAY_REPLAY_WINDOW_MS: '600000' });
  await hasty.streaming();
  const common = await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await hasty.kill();
  await primary.stop();
  await using promoted = await startPostgresCopy(primary, { isStandby: true });
  await primary.start();
  const onlyHere = await relayOne(outbox);
  await runSql(promoted.url, PROMOTE);
  const env = { DATABASE_URL: inDatabase(promoted.url, outbox.name) };
  expect(await refusedRun(outbox, env)).toMatchObject({ code: 'TIMELINE_FORK' });
  expect(await acceptEpoch(outbox, env)).toContain('does not come twice');
  const fresh = await idOf(runSql(env.DATABASE_URL, INSERT));
  await relayUntil(outbox, env, [fresh]);
  expect(await idsOf(outbox)).toEqual([common, onlyHere, fresh]);
});

test('a server restored from an older copy of its files is refused; accepted, it goes on from what it has', async () => {
  await using outbox = await createOutbox();
  await relayOne(outbox);
  const copy = `${primary.dataDir}.copy`;
  await primary.stop();
  copyFiles(primary.dataDir, copy);
  await primary.start();
  await outbox.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'order', '1', 't', '{}' FROM generate_series(1, 500)",
  );
  await relayOne(outbox);
  await primary.stop();
  rmSync(primary.dataDir, { recursive: true });
  copyFiles(copy, primary.dataDir);
  rmSync(copy, { recursive: true });
  await primary.start();

  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'POSTGRES_BEHIND', exitCode: 67 });
  expect(refusal.message).toContain('it was restored from an older copy');
  expect(refusal.hint).toContain('walrelay epoch accept');
  const accepted = await acceptEpoch(outbox);
  expect(accepted).toContain('Streams may hold events that this server does not have');
  expect(accepted).toMatch(/The watermark .* is dropped/);
  await expectRelays(outbox);
});

test('another cluster under the same names is refused; accepted, not one of its events is taken for an old one', async () => {
  await using outbox = await createOutbox();
  // Positions far above those of a cluster that has just been made.
  for (let count = 0; count < 3; count += 1) {
    await outbox.insert();
    await outbox.query('SELECT pg_switch_wal()');
  }
  await relayOne(outbox);
  await using other = await startPostgres();
  const admin = new Client({ connectionString: other.url });
  await admin.connect();
  await admin.query(`CREATE DATABASE ${outbox.name}`);
  await admin.end();
  const url = new URL(other.url);
  url.pathname = `/${outbox.name}`;
  const env = { DATABASE_URL: url.href };
  const init = await refusedCommand(['init', '--create-table'], { ...outbox.env, ...env });
  expect(init).toMatchObject({ code: 'SLOT_MISSING', exitCode: 65 });

  const client = new Client({ connectionString: url.href });
  await client.connect();
  try {
    await client.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [outbox.name]);
    const refusal = refusalOf(await outbox.start(env).exited, { ...outbox.env, ...env });
    expect(refusal).toMatchObject({ code: 'SYSTEM_CHANGED', exitCode: 67 });
    expect(refusal.message).toMatch(/Redis remembers the Postgres cluster \d+; this is the cluster \d+/);
    expect(refusal.hint).toContain('DATABASE_URL');

    // Without a slot as well: it must not pass for the same cluster, whose watermark would skip every new event.
    await client.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
    const accepted = await acceptEpoch(outbox, env);
    expect(accepted).toContain('It does not fit Postgres: SYSTEM_CHANGED');
    expect(accepted).toContain('A new slot is created');
    expect(accepted).toMatch(/The watermark .* is dropped/);
    expect(accepted).toContain('a relay that still runs there stops');
    const fresh = await idOf(client.query<Record<string, unknown>>(INSERT).then(({ rows }) => rows));
    await relayUntil(outbox, env, [fresh]);
  } finally {
    await client.end();
  }
});
