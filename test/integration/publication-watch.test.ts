import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import type { Daemon } from '../support/cli.ts';
import { Outbox } from '../support/outbox.ts';
import { expectNotConfirmedPast, haltBy, walEnd } from '../support/publication-halt.ts';
import { acceptEpoch, expectRelays, idsOf, refusalOf, refusedRun } from '../support/setup-refusal.ts';
import { waitFor } from '../support/wait-for.ts';

/** What leaves rows out, or may have: each stops the relay, and nothing is confirmed past it. */
const HALTS: Readonly<Record<string, { readonly sql: string; readonly says: RegExp }>> = {
  'a publication that is dropped': {
    sql: 'DROP PUBLICATION walrelay',
    // Up to version 17 the stream itself may be first to say that a publication is gone.
    says: /dropped or renamed|publication "walrelay" does not exist/,
  },
  'a publication that is renamed': {
    sql: 'ALTER PUBLICATION walrelay RENAME TO other',
    says: /dropped or renamed|publication "walrelay" does not exist/,
  },
  'a publication that is dropped and made again at once': {
    sql: 'DROP PUBLICATION walrelay; CREATE PUBLICATION walrelay FOR TABLE outbox',
    says: /dropped and made again|publication "walrelay" does not exist/,
  },
  'a publication that loses the table': {
    sql: 'ALTER PUBLICATION walrelay DROP TABLE outbox',
    says: /taken out of the publication: .*does not cover/,
  },
  'a table that is taken out of the publication and put back at once': {
    sql: 'ALTER PUBLICATION walrelay DROP TABLE outbox; ALTER PUBLICATION walrelay ADD TABLE outbox',
    says: /taken out of the publication and added again/,
  },
  'a row filter that is added': {
    sql: "ALTER PUBLICATION walrelay SET TABLE outbox WHERE (type <> 't')",
    says: /another row filter.*filters the rows/,
  },
  'a publication that stops publishing inserts': {
    sql: "ALTER PUBLICATION walrelay SET (publish = 'update')",
    says: /was altered.*does not publish inserts/,
  },
  'a publication that gets another owner, since that may hide another alteration': {
    sql: 'ALTER PUBLICATION walrelay OWNER TO pg_database_owner',
    says: /was altered \(what it publishes, its options, or its owner\)/,
  },
};

describe.each([15, 16, 17, 18] as const)('on PostgreSQL %i', (majorVersion) => {
  let server: PostgresServer;

  beforeAll(async () => {
    // A session that asks for it waits for a standby that never comes: its commits stay invisible to others.
    const settings = { synchronous_standby_names: 'nobody', synchronous_commit: 'local' };
    server = await startPostgres({ majorVersion, settings });
  });
  afterAll(async () => {
    await server.dispose();
  });

  const createOutbox = (isInitialized = true) =>
    Outbox.create({ databaseUrl: server.url, redisUrl: inject('redisUrl'), isInitialized });

  test.concurrent.for(Object.entries(HALTS))('%s stops the relay', async ([, { sql, says }]) => {
    await using outbox = await createOutbox();
    const halt = await haltBy(outbox, outbox.start(), sql);
    expect(halt).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
    expect(halt.message).toMatch(says);
    expect(halt.hint).toContain('walrelay epoch accept');
    await expectNotConfirmedPast(outbox, halt.notPast);
  });

  test.concurrent('a comment and another table in the publication change nothing', async () => {
    await using outbox = await createOutbox();
    const daemon = outbox.start();
    await daemon.streaming();
    await outbox.query("COMMENT ON PUBLICATION walrelay IS 'mine'");
    await outbox.query('CREATE TABLE other (id int); ALTER PUBLICATION walrelay ADD TABLE other');
    await outbox.query('INSERT INTO other VALUES (1); TRUNCATE other');
    await expectGoesOn(outbox);
    expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
  });

  test.concurrent('a renamed table is relayed on, over a reconnect too; the next start names its new name', async () => {
    await using outbox = await createOutbox();
    const daemon = outbox.start();
    await daemon.streaming();
    await outbox.query('ALTER TABLE outbox RENAME TO messages');
    await waitForWarning(daemon, /outbox was renamed to "public"."messages".*WALRELAY_TABLE/);
    await expectGoesOn(outbox, 'messages');
    const since = daemon.log.length;
    await outbox.query(
      'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1',
      [outbox.name],
    );
    await daemon.waitForLog('streaming', { since });
    await expectGoesOn(outbox, 'messages');
    expect(await daemon.stop()).toMatchObject({ exitCode: 0 });

    const refusal = await refusedRun(outbox);
    expect(refusal).toMatchObject({ code: 'TABLE_MISSING', exitCode: 65 });
    expect(refusal.hint).toContain(`WALRELAY_TABLE='"public"."messages"'`);
    const renamed = outbox.start({ WALRELAY_TABLE: '"public"."messages"' });
    await renamed.streaming();
    await expectGoesOn(outbox, 'messages');
  });

  test.concurrent('a table that is swapped for another stops the relay, and the next start', async () => {
    await using outbox = await createOutbox();
    const halt = await haltBy(
      outbox,
      outbox.start(),
      'ALTER TABLE outbox RENAME TO outbox_old; CREATE TABLE outbox (LIKE outbox_old INCLUDING ALL)',
    );
    expect(halt).toMatchObject({ code: 'TABLE_REPLACED', exitCode: 67 });
    expect(halt.message).toContain('renamed to "public"."outbox_old"');
    await expectNotConfirmedPast(outbox, halt.notPast);
    const refusal = await refusedRun(outbox);
    expect(refusal).toMatchObject({ code: 'PUBLICATION_UNSUITABLE' });
    expect(refusal.hint).toContain('It covers "public"."outbox_old"');
    await outbox.query('DROP TABLE outbox; ALTER TABLE outbox_old RENAME TO outbox');
    await expectRelays(outbox);
  });

  test.concurrent('a table that leaves the published schema stops the relay', async () => {
    await using outbox = await createOutbox(false);
    await outbox.query(
      `${TABLE}; CREATE PUBLICATION walrelay FOR TABLES IN SCHEMA public; CREATE SCHEMA attic`,
    );
    await outbox.init();
    const daemon = outbox.start();
    await daemon.streaming();
    await outbox.query('ALTER TABLE outbox SET SCHEMA attic');
    const halt = refusalOf(await daemon.exited, outbox.env);
    expect(halt).toMatchObject({ code: 'PUBLICATION_CHANGED' });
    expect(halt.message).toMatch(/the schema was .*taken out.*does not cover "attic"."outbox"/);
  });

  // Alone: an open transaction holds up whoever creates a slot on the same server.
  test('an alteration that is committed and decoded but not yet visible holds up every confirmation', async () => {
    await using outbox = await createOutbox();
    const daemon = outbox.start({ WALRELAY_STATUS_INTERVAL_MS: '200' });
    await daemon.streaming();
    await outbox.insert();
    await outbox.waitUntilConfirmed();
    const before = await walEnd(outbox);

    await using altering = await commitUnseen(outbox, 'ALTER PUBLICATION walrelay DROP TABLE outbox');
    const lost = await outbox.insert();
    const after = await walEnd(outbox);
    await waitForWarning(daemon, /nothing is confirmed until it is over/);
    // Looks that were begun after the relay had received the position behind the row that was left out.
    const metricsUrl = `${await daemon.httpUrl()}/metrics`;
    await waitFor('the relay to receive what is behind the lost row', async () => {
      const received = /^walrelay_received_lsn_bytes (\S+)/m.exec(await (await fetch(metricsUrl)).text());
      return Number(received?.[1] ?? 0) >= Number(parseLsn(after));
    });
    await waitForLooks(outbox, 2);
    await expectNotConfirmedPast(outbox, before);

    await altering.end();
    expect(refusalOf(await daemon.exited, outbox.env)).toMatchObject({ code: 'PUBLICATION_CHANGED' });
    await expectNotConfirmedPast(outbox, before);
    expect(await idsOf(outbox)).not.toContain(lost);
  });

  test.concurrent('a table that becomes unlogged under a publication for all tables stops the relay', async () => {
    await using outbox = await createOutbox(false);
    await outbox.query(`${TABLE}; CREATE PUBLICATION walrelay FOR ALL TABLES`);
    await outbox.init();
    const halt = await haltBy(outbox, outbox.start(), 'ALTER TABLE outbox SET UNLOGGED');
    expect(halt).toMatchObject({ code: 'TABLE_UNSUITABLE', exitCode: 65 });
    expect(halt.hint).toContain('SET LOGGED');
    await expectNotConfirmedPast(outbox, halt.notPast);
  });

  test.concurrent('partitions come and go, and every row is relayed; one that is not logged stops the relay', async () => {
    await using outbox = await createOutbox(false);
    await outbox.query(`${TABLE} PARTITION BY LIST (aggregateid);
      CREATE TABLE outbox_1 PARTITION OF outbox FOR VALUES IN ('1')`);
    await outbox.init();
    const daemon = outbox.start();
    await daemon.streaming();
    const insert = (aggregateId: string) => outbox.insert({ aggregateId });
    const ids = [await insert('1')];
    await outbox.query(
      "CREATE TABLE outbox_2 (LIKE outbox); ALTER TABLE outbox ATTACH PARTITION outbox_2 FOR VALUES IN ('2')",
    );
    ids.push(await insert('2'), await insert('1'));
    await outbox.query('ALTER TABLE outbox DETACH PARTITION outbox_1; DROP TABLE outbox_1');
    await outbox.query("CREATE TABLE outbox_3 PARTITION OF outbox FOR VALUES IN ('1')");
    ids.push(await insert('1'), await insert('2'));
    await outbox.waitForLength(outbox.stream(), ids.length);
    await outbox.waitUntilConfirmed();
    expect(await idsOf(outbox)).toEqual(ids);

    await outbox.query("CREATE UNLOGGED TABLE outbox_4 PARTITION OF outbox FOR VALUES IN ('4')");
    const notPast = await walEnd(outbox);
    await insert('4');
    const halt = refusalOf(await daemon.exited, outbox.env);
    expect(halt).toMatchObject({ code: 'TABLE_UNSUITABLE', exitCode: 65 });
    expect(halt.message).toContain('outbox_4');
    await expectNotConfirmedPast(outbox, notPast);
    await outbox.query('ALTER TABLE outbox_4 SET LOGGED');
    await expectRelays(outbox);
  });

  test.concurrent('a table that becomes a partition of a published one is sent under that name: the relay stops', async () => {
    await using outbox = await createOutbox();
    await outbox.query(`CREATE TABLE events (LIKE outbox) PARTITION BY LIST (aggregateid);
      ALTER PUBLICATION walrelay ADD TABLE events`);
    const halt = await haltBy(outbox, outbox.start(), 'ALTER TABLE events ATTACH PARTITION outbox DEFAULT');
    expect(halt.message).toContain('public.events');
    expect(halt.exitCode).not.toBe(0);
    await expectNotConfirmedPast(outbox, halt.notPast);
  });

  test.concurrent('a partitioned table whose publication turns to the partitions’ names stops the relay; accepted, it goes on', async () => {
    await using outbox = await createOutbox(false);
    await outbox.query(
      `${TABLE} PARTITION BY LIST (aggregateid); CREATE TABLE outbox_1 PARTITION OF outbox DEFAULT`,
    );
    await outbox.init();
    const halt = await haltBy(
      outbox,
      outbox.start(),
      'ALTER PUBLICATION walrelay SET (publish_via_partition_root = false)',
    );
    expect(halt).toMatchObject({ code: 'PUBLICATION_CHANGED', exitCode: 67 });
    expect(halt.hint).toContain('walrelay epoch accept');
    await expectNotConfirmedPast(outbox, halt.notPast);
    await acceptEpoch(outbox);
    await expectRelays(outbox);
  });
});

const TABLE =
  'CREATE TABLE outbox (id uuid DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text, type text, payload jsonb)';

/** Another event arrives and is confirmed. */
async function expectGoesOn(outbox: Outbox, table = 'outbox'): Promise<void> {
  const [row] = await outbox.query<{ id: string }>(
    `INSERT INTO ${table} (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 't', '{}') RETURNING id`,
  );
  await waitFor('the event to arrive', async () => (await idsOf(outbox)).includes(row?.id ?? ''));
  await outbox.waitUntilConfirmed();
}

async function waitForWarning(daemon: Daemon, text: RegExp): Promise<void> {
  await waitFor(`the warning ${text}; the log is\n${daemon.stderr}`, () =>
    daemon.log.some(({ level, msg }) => level === 'warn' && text.test(msg)),
  );
}

/** Commits in the WAL, and waits for a standby that never comes: nobody else sees it until `end`. */
async function commitUnseen(
  outbox: Outbox,
  sql: string,
): Promise<AsyncDisposable & { end(): Promise<void> }> {
  const client = await outbox.pool.connect();
  await client.query('SET synchronous_commit = on');
  const [backend] = (await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows;
  const committed = client.query(sql);
  let hasEnded = false;
  const end = async () => {
    if (hasEnded) return;
    hasEnded = true;
    // Told to wait no longer, the server warns that it is committed here only.
    await outbox.query('SELECT pg_cancel_backend($1)', [backend?.pid]);
    await committed.finally(() => client.release(true));
  };
  await waitFor('the commit to wait for its standby', async () => {
    const waiting = await outbox.query(
      "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'",
      [backend?.pid],
    );
    return waiting.length === 1;
  });
  return { end, [Symbol.asyncDispose]: end };
}

/** Waits until the catalog watch has asked that many times more. */
async function waitForLooks(outbox: Outbox, count: number): Promise<void> {
  const seen = new Set<string>();
  await waitFor(`${count} looks at the catalog`, async () => {
    const [row] = await outbox.query<{ began: string }>(
      `SELECT max(query_start)::text AS began FROM pg_stat_activity
       WHERE datname = current_database() AND backend_type = 'client backend' AND query LIKE '%WITH RECURSIVE t AS%' AND pid <> pg_backend_pid()`,
    );
    seen.add(row?.began ?? '');
    // The first one may have begun before.
    return seen.size > count + 1;
  });
}
