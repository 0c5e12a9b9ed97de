import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import {
  BEGUN,
  CleanUpBeside,
  countRows,
  EAGER,
  expectDroppedWhenConfirmed,
  noteDrops,
  waitForHorizon,
  waitForRows,
} from '../support/cleaned-outbox.ts';
import type { Daemon, Env } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import { Outbox } from '../support/outbox.ts';
import { waitFor } from '../support/wait-for.ts';

const TABLE_SQL = readFileSync(new URL('../../postgres/outbox-partitioned.sql', import.meta.url), 'utf8');
const PARTITIONS: Env = {
  WALRELAY_CLEANUP: 'partitions',
  WALRELAY_CLEANUP_RETENTION_MS: String(2 * 86_400_000),
};
const FAILED = 'the clean-up failed; the relay goes on, and it is tried again';

describe.each([15, 17] as const)('on PostgreSQL %i', (majorVersion) => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres({ majorVersion, settings: { TimeZone: 'America/New_York' } });
  });
  afterAll(async () => {
    await server.dispose();
  });

  async function createPartitioned(env: Env = {}): Promise<Outbox> {
    const outbox = await Outbox.create({
      databaseUrl: server.url,
      redisUrl: inject('redisUrl'),
      isInitialized: false,
      env: { ...EAGER, ...PARTITIONS, ...env },
    });
    await outbox.query(TABLE_SQL);
    await outbox.init();
    return outbox;
  }

  test('partitions of the next days are made while a relay streams, day after day, and old ones are dropped', async () => {
    await using outbox = await createPartitioned();
    await noteDrops(outbox);
    const oracle = await Oracle.create(outbox);
    const daemon = await streaming(outbox);
    await using cleanUp = await CleanUpBeside.start(outbox, PARTITIONS);
    await waitFor('today and three more days', async () => (await partitionsOf(outbox)).length === 4);
    const first = await partitionsOf(outbox);
    for (let event = 0; event < 20; event += 1) await outbox.insert();
    await waitForHorizon(outbox);

    for (let day = 1; day <= 4; day += 1) {
      cleanUp.daysAhead = day;
      await outbox.query(
        `INSERT INTO outbox (aggregatetype, aggregateid, type, payload, created_at)
         SELECT 'order', '1', 't', '{}', now() + $1 * interval '1 day' FROM generate_series(1, 10)`,
        [day],
      );
      await waitForHorizon(outbox);
      await waitFor(`the partitions of day ${day}`, async () => {
        const names = await partitionsOf(outbox);
        // Four days from its today on, and the two before for the retention (the second not yet over).
        return names.length === 4 + Math.min(day, 2) && names.at(-1) === dayName(day + 3) ? names : null;
      });
    }
    const left = await partitionsOf(outbox);
    expect(left[0]).toBe(dayName(2));
    expect(first).toContain(dayName(0));
    expect(await countRows(outbox)).toBe(30);
    expect(await expectDroppedWhenConfirmed(outbox, oracle)).toBe(30);
    expect(await expectExact(outbox, oracle)).toBe(60);
    expect(daemon.hasExited).toBe(false);
    expect(cleanUp.log.filter(({ level }) => level === 'error')).toEqual([]);
    await daemon.stop();
  });

  test('a partition with a row that is not confirmed stays, however old, and goes when that is', async () => {
    await using outbox = await createPartitioned();
    const daemon = await streaming(outbox);
    await using cleanUp = await CleanUpBeside.start(outbox, PARTITIONS);
    await cleanUp.waitForLog(BEGUN);
    await outbox.insert();
    await waitForHorizon(outbox);
    await daemon.kill();
    await outbox.insert();
    await using next = await CleanUpBeside.start(
      outbox,
      { ...PARTITIONS, WALRELAY_CLEANUP_OLDER_ROWS: 'delete' },
      -2,
    );
    next.daysAhead = cleanUp.daysAhead = 9;
    for (let checkpoint = 0; checkpoint < 3; checkpoint += 1) await outbox.query('CHECKPOINT');
    expect(await partitionsOf(outbox)).toContain(dayName(0));
    expect(await countRows(outbox)).toBe(2);

    // Another relay holds the slot now: it can't be confirmed past an open transaction that has written there.
    const second = await streaming(outbox);
    const open = await outbox.pool.connect();
    try {
      await open.query(
        "BEGIN; INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 't', '{}')",
      );
      await outbox.insert();
      await outbox.waitUntilConfirmed();
      await using third = await CleanUpBeside.start(outbox, {
        ...PARTITIONS,
        WALRELAY_CLEANUP_OLDER_ROWS: 'delete',
      });
      third.daysAhead = 9;
      const busy = await third.waitForLog(FAILED);
      expect(busy).toMatchObject({ level: 'warn', code: 'PG_BUSY' });
      expect(await countRows(outbox)).toBe(3);
      await open.query('COMMIT');
      await waitForRows(outbox, (count) => count === 0);
      expect(await partitionsOf(outbox)).not.toContain(dayName(0));
    } finally {
      open.release(true);
    }
    await outbox.waitForLength(outbox.stream(), 4);
    await second.stop();
  });

  test('a day whose rows are in the default partition gets none; the next days do, and the rows go by batches', async () => {
    await using outbox = await createPartitioned();
    await outbox.query(`DROP TABLE ${dayName(0)}`);
    const daemon = await streaming(outbox);
    await using cleanUp = await CleanUpBeside.start(outbox, {
      ...PARTITIONS,
      WALRELAY_CLEANUP_OLDER_ROWS: 'delete',
    });
    // The default partition takes what nothing else does.
    await outbox.query(`DROP TABLE IF EXISTS ${dayName(0)}`);
    await outbox.query(
      "INSERT INTO outbox (aggregatetype, aggregateid, type, payload, created_at) SELECT 'order', '1', 't', '{}', now() + interval '7 days' FROM generate_series(1, 5)",
    );
    expect(await countRows(outbox, 'outbox_default')).toBe(5);
    cleanUp.daysAhead = 5;
    const failed = await cleanUp.waitForLog(FAILED);
    expect(failed['reason']).toContain(dayName(7));
    expect(failed['hint']).toContain('If the default partition holds rows of that day');
    await waitFor('the day after', async () => (await partitionsOf(outbox)).includes(dayName(8)));
    expect(await partitionsOf(outbox)).not.toContain(dayName(7));
    cleanUp.daysAhead = 10;
    await waitForRows(outbox, (count) => count === 0, { table: 'outbox_default' });
    await outbox.waitForLength(outbox.stream(), 5);
    await daemon.stop();
  });

  test('a table that is not partitioned by its time, and a role that does not own it, are told what to do', async () => {
    await using outbox = await createPartitioned();
    const role = `${outbox.name}_relay`;
    await outbox.query(`CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'secret'`);
    await outbox.query(`CREATE ROLE ${role}_owner; ALTER TABLE outbox OWNER TO ${role}_owner`);
    await outbox.query(
      `ALTER TABLE outbox_default OWNER TO ${role}_owner; GRANT USAGE, CREATE ON SCHEMA public TO ${role}_owner`,
    );
    const url = new URL(outbox.databaseUrl);
    url.username = role;
    url.password = 'secret';
    const daemon = outbox.start({ DATABASE_URL: url.href });
    await daemon.streaming();
    const failed = await daemon.waitForLog(FAILED);
    expect(failed).toMatchObject({ code: 'PG_PRIVILEGE' });
    expect(failed['hint']).toBe(
      `Only its owner makes and drops partitions: GRANT "${role}_owner" TO "${role}";`,
    );
    await outbox.query(`GRANT "${role}_owner" TO "${role}"`);
    await daemon.waitForLog('a partition was made');
    const owners = await outbox.query(`SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class
      WHERE relname IN ('${dayName(2)}', '${dayName(3)}')`);
    expect(owners).toEqual([{ owner: `${role}_owner` }]);
    await daemon.stop();
    await outbox.query(`DROP OWNED BY ${role}, ${role}_owner CASCADE; DROP ROLE ${role}, ${role}_owner`);

    await outbox.query('DROP TABLE IF EXISTS outbox CASCADE');
    await using plain = await Outbox.create({
      databaseUrl: server.url,
      redisUrl: inject('redisUrl'),
      env: { ...EAGER, ...PARTITIONS },
    });
    const other = plain.start();
    const refused = await other.waitForLog(FAILED);
    expect(refused).toMatchObject({ code: 'TABLE_UNSUITABLE' });
    expect(refused['hint']).toContain('postgres/outbox-partitioned.sql');
    await other.stop();
  });
});

/** A relay without a clean-up of its own. */
async function streaming(outbox: Outbox): Promise<Daemon> {
  const daemon = outbox.start({ WALRELAY_CLEANUP: 'none' });
  await daemon.streaming();
  return daemon;
}

async function partitionsOf(outbox: Outbox): Promise<string[]> {
  const rows = await outbox.query<{ name: string }>(
    "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'outbox'::regclass ORDER BY 1",
  );
  return rows.map(({ name }) => name).filter((name) => name !== 'outbox_default');
}

/** By the clock of this machine, which is that of the server. */
function dayName(daysAhead: number): string {
  const day = new Date(Date.now() + daysAhead * 86_400_000);
  return `outbox_p${day.toISOString().slice(0, 10).replaceAll('-', '')}`;
}
