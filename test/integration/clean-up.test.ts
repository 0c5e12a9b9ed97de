import type { PoolClient } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { audit, passSlack } from '../support/audit-cli.ts';
import {
  BEGUN,
  CleanUpBeside,
  countRows,
  EAGER,
  expectConfirmedBefore,
  noteDeletes,
  waitForHorizon,
  waitForRows,
} from '../support/cleaned-outbox.ts';
import type { Daemon, Env } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import { Outbox } from '../support/outbox.ts';
import { waitFor } from '../support/wait-for.ts';

const FAILED = 'the clean-up failed; the relay goes on, and it is tried again';

describe.each([15, 18] as const)('on PostgreSQL %i', (majorVersion) => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres({ majorVersion, settings: { max_prepared_transactions: '5' } });
  });
  afterAll(async () => {
    await server.dispose();
  });

  const createOutbox = (env: Env = {}) =>
    Outbox.create({ databaseUrl: server.url, redisUrl: inject('redisUrl'), env: { ...EAGER, ...env } });

  test('rows are deleted once they are confirmed, in batches, and none before', async () => {
    await using outbox = await createOutbox({ WALRELAY_CLEANUP_BATCH_ROWS_MAX: '7' });
    await noteDeletes(outbox);
    const oracle = await Oracle.create(outbox);
    const daemon = await cleaning(outbox);
    await insertMany(outbox, 100);
    await waitForRows(outbox, (count) => count === 0);
    expect(await expectConfirmedBefore(outbox, oracle)).toBe(100);
    expect(await expectExact(outbox, oracle)).toBe(100);
    const metrics = await (await fetch(`${await daemon.httpUrl()}/metrics`)).text();
    expect(metrics).toMatch(/^walrelay_cleanup_deleted_rows_total 100$/m);
    expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
  });

  test('a row stays for the retention, by its time', async () => {
    await using outbox = await createOutbox({ WALRELAY_CLEANUP_RETENTION_MS: '3600000' });
    const daemon = await cleaning(outbox);
    await using cleanUp = await CleanUpBeside.start(outbox, { WALRELAY_CLEANUP_RETENTION_MS: '172800000' });
    await cleanUp.waitForLog(BEGUN);
    const young = await outbox.insert();
    await waitForHorizon(outbox);
    // The relay's own has looked again, and the other, for which a day has passed.
    cleanUp.daysAhead = 1;
    await looksAgain(daemon);
    expect(await countRows(outbox)).toBe(1);
    cleanUp.daysAhead = 3;
    await waitForRows(outbox, (count) => count === 0);
    expect(young).not.toBe('');
  });

  test('rows of a transaction that is open, or prepared, stay, and so do all that began after it', async () => {
    await using outbox = await createOutbox();
    await noteDeletes(outbox);
    const oracle = await Oracle.create(outbox);
    const daemon = await cleaning(outbox);
    await insertMany(outbox, 5);
    await waitForRows(outbox, (count) => count === 0);

    await using opened = await openClient(outbox);
    const open = opened.client;
    const insert =
      "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 't', '{}')";
    await open.query(`BEGIN; ${insert}; SAVEPOINT s; ${insert}; PREPARE TRANSACTION '${outbox.name}'`);
    await open.query(`BEGIN; ${insert}; SAVEPOINT s; ${insert}`);
    await insertMany(outbox, 10);
    await outbox.waitForLength(outbox.stream(), 15);
    await outbox.waitUntilConfirmed();
    for (let checkpoint = 0; checkpoint < 3; checkpoint += 1) await outbox.query('CHECKPOINT');
    await outbox.waitUntilConfirmed();
    await looksAgain(daemon);
    expect(await countRows(outbox)).toBe(10);

    await open.query('COMMIT');
    await outbox.waitUntilConfirmed();
    await looksAgain(daemon);
    expect(await countRows(outbox)).toBe(12);
    await open.query(`COMMIT PREPARED '${outbox.name}'`);
    await waitForRows(outbox, (count) => count === 0);
    expect(await expectConfirmedBefore(outbox, oracle)).toBe(19);
    expect(await expectExact(outbox, oracle)).toBe(19);
    await daemon.stop();
  });

  test('a row that somebody holds is left for later, and nobody waits', async () => {
    await using outbox = await createOutbox({ WALRELAY_CLEANUP: 'none' });
    const daemon = outbox.start();
    await daemon.streaming();
    const held = await outbox.insert();
    await insertMany(outbox, 10);
    await waitForHorizon(outbox);
    await using opened = await openClient(outbox);
    const holder = opened.client;
    await holder.query('BEGIN');
    await holder.query('SELECT FROM outbox WHERE id = $1 FOR UPDATE', [held]);
    await using cleanUp = await CleanUpBeside.start(outbox, { WALRELAY_CLEANUP_OLDER_ROWS: 'delete' });
    await waitForRows(outbox, (count) => count === 1);
    expect(await outbox.query('SELECT id::text FROM outbox')).toEqual([{ id: held }]);
    await holder.query('ROLLBACK');
    await waitForRows(outbox, (count) => count === 0);
    expect(cleanUp.log.filter(({ msg }) => msg === FAILED)).toEqual([]);
    await daemon.stop();
  });

  test('rows from before the clean-up stay, over a restart too, until it is told otherwise', async () => {
    await using outbox = await createOutbox();
    await insertMany(outbox, 3);
    const first = await cleaning(outbox);
    await insertMany(outbox, 4);
    await waitForRows(outbox, (count) => count === 3);
    await first.stop();
    await insertMany(outbox, 5);
    const second = await cleaning(outbox);
    await waitForRows(outbox, (count) => count === 3);
    await second.stop();
    const third = await cleaning(outbox, { WALRELAY_CLEANUP_OLDER_ROWS: 'delete' });
    await waitForRows(outbox, (count) => count === 0);
    expect(await countRows(outbox)).toBe(0);
    await third.stop();
  });

  test('without a time column rows go by the age of the horizon that has passed them, and that survives a restart', async () => {
    await using outbox = await createOutbox({
      WALRELAY_COLUMN_TIME: 'none',
      WALRELAY_CLEANUP_RETENTION_MS: '1500',
    });
    await outbox.query('ALTER TABLE outbox DROP COLUMN created_at');
    const daemon = await cleaning(outbox);
    await insertMany(outbox, 20);
    await waitForHorizon(outbox);
    await waitForRows(outbox, (count) => count === 0);
    const note = await outbox.redis.hget(outbox.metaKey, 'clean_up');
    expect(note).toMatch(/^\d+@\d{13}( \d+@\d{13})+$/);
    await daemon.stop();
    await insertMany(outbox, 5);
    await cleaning(outbox);
    expect((await outbox.redis.hget(outbox.metaKey, 'clean_up'))?.split(' ')[0]).toBe(note?.split(' ')[0]);
    await waitForRows(outbox, (count) => count === 0);
  });

  test('what the role lacks is said with the statement that grants it, and with that it goes on', async () => {
    await using outbox = await createOutbox();
    const role = `${outbox.name}_relay`;
    await outbox.query(`CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'secret'`);
    const url = new URL(outbox.databaseUrl);
    url.username = role;
    url.password = 'secret';
    const daemon = outbox.start({ DATABASE_URL: url.href });
    await daemon.streaming();
    await insertMany(outbox, 3);
    const failed = await daemon.waitForLog(FAILED);
    expect(failed).toMatchObject({ level: 'error', code: 'PG_PRIVILEGE' });
    expect(failed['hint']).toBe(`GRANT SELECT, DELETE, UPDATE ("id") ON "public"."outbox" TO "${role}";`);
    await outbox.query(String(failed['hint']));
    await daemon.waitForLog(BEGUN);
    await insertMany(outbox, 3);
    await waitForRows(outbox, (count) => count === 3);
    await daemon.stop();
    await outbox.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  });

  test('a table without replica identity whose deletes somebody publishes is refused, with the fix', async () => {
    await using outbox = await createOutbox();
    await outbox.query('ALTER TABLE outbox DROP CONSTRAINT outbox_pkey');
    await outbox.query('CREATE PUBLICATION warehouse FOR TABLE outbox');
    const daemon = outbox.start();
    const failed = await daemon.waitForLog(FAILED);
    expect(failed).toMatchObject({ code: 'PUBLICATION_UNSUITABLE' });
    expect(failed['hint']).toMatch(/ALTER PUBLICATION "warehouse" SET \(publish = 'insert'\)/);
    await outbox.query("ALTER PUBLICATION warehouse SET (publish = 'insert')");
    await daemon.waitForLog(BEGUN);
    await insertMany(outbox, 3);
    await waitForRows(outbox, (count) => count === 0);
    await daemon.stop();
  });

  test('a session that does not hold the slot deletes nothing', async () => {
    await using outbox = await createOutbox({ WALRELAY_CLEANUP: 'none' });
    const daemon = outbox.start();
    await daemon.streaming();
    const [stranger] = await outbox.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await using cleanUp = await CleanUpBeside.start(
      outbox,
      { WALRELAY_CLEANUP_OLDER_ROWS: 'delete' },
      stranger?.pid ?? -1,
    );
    await insertMany(outbox, 3);
    await waitForHorizon(outbox);
    await using holder = await CleanUpBeside.start(outbox, { WALRELAY_CLEANUP_RETENTION_MS: '3600000' });
    await holder.waitForLog(BEGUN);
    await waitForHorizon(outbox);
    expect(await countRows(outbox)).toBe(3);
    expect(cleanUp.log).toEqual([]);
    await daemon.stop();
  });

  test('an audit beside it finds what is missing within the retention, and nothing that was cleaned up', async () => {
    await using outbox = await createOutbox({ WALRELAY_CLEANUP: 'none' });
    const daemon = outbox.start();
    await daemon.streaming();
    await insertMany(outbox, 50);
    await outbox.waitForLength(outbox.stream(), 50);
    await passSlack(outbox);
    const lost = await outbox.insert();
    await insertMany(outbox, 10);
    await outbox.waitForLength(outbox.stream(), 61);
    await using cleanUp = await CleanUpBeside.start(outbox, {
      WALRELAY_CLEANUP_OLDER_ROWS: 'delete',
      WALRELAY_CLEANUP_RETENTION_MS: '86400000',
    });
    await cleanUp.waitForLog(BEGUN);
    await outbox.query(
      "UPDATE outbox SET created_at = created_at - interval '2 days' WHERE ctid IN (SELECT ctid FROM outbox LIMIT 40)",
    );
    await waitForRows(outbox, (count) => count === 21);
    const clean = await audit(outbox);
    expect(clean).toMatchObject({ exitCode: 0, report: { rows: 21, notes: { withoutRow: 40 } } });
    const entries = await outbox.redis.xrange(outbox.stream(), '-', '+');
    const entry = entries.find(([, fields]) => fields[1] === lost);
    await outbox.redis.xdel(outbox.stream(), entry?.[0] ?? '');
    const found = await audit(outbox);
    expect(found).toMatchObject({ exitCode: 71, report: { findings: { missing: 1 } } });
    expect(found.report.relay).not.toHaveProperty('isCleanedUp');
    // As a relay that cleans up leaves it there.
    await outbox.redis.hset(outbox.metaKey, 'clean_up', cleanUp.note);
    expect((await audit(outbox)).report.relay).toMatchObject({ isCleanedUp: true });
    await daemon.stop();
  });
});

/** Starts a relay whose clean-up has begun. */
async function cleaning(outbox: Outbox, env: Env = {}): Promise<Daemon> {
  const daemon = outbox.start(env);
  await daemon.waitForLog(BEGUN);
  return daemon;
}

async function insertMany(outbox: Outbox, count: number): Promise<void> {
  for (let row = 0; row < count; row += 1) await outbox.insert();
}

/** Waits for a whole look that began from now on. */
async function looksAgain(daemon: Daemon): Promise<void> {
  const url = await daemon.httpUrl();
  const look = async () =>
    Number(
      /^walrelay_cleanup_last_timestamp_seconds (\S+)$/m.exec(
        await (await fetch(`${url}/metrics`)).text(),
      )?.[1] ?? 0,
    );
  for (let looks = 0; looks < 2; looks += 1) {
    const before = await look();
    await waitFor('another look of the clean-up', async () => (await look()) > before);
  }
}

/** Whatever it has open ends with the test: a transaction that stays would hold up whoever creates a slot on this server. */
async function openClient(outbox: Outbox): Promise<AsyncDisposable & { readonly client: PoolClient }> {
  const client = await outbox.pool.connect();
  return {
    client,
    [Symbol.asyncDispose]: async () => {
      client.release(true);
      const prepared = await outbox.query('SELECT FROM pg_prepared_xacts WHERE gid = $1', [outbox.name]);
      if (prepared.length > 0) await outbox.query(`ROLLBACK PREPARED '${outbox.name}'`);
    },
  };
}
