import { Client } from 'pg';
import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';
import {
  dropSlot,
  expectWhole,
  readAllEntries,
  recoverCli,
  recovered,
  relayAll,
} from '../support/recovered.ts';
import { acceptEpoch, expectRelays, idsOf, refusedCommand, refusedRun } from '../support/setup-refusal.ts';

test('a slot that was dropped by hand: what was not relayed is published once, marked, and the relay goes on', async () => {
  await using outbox = await createOutbox();
  const relayed = await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  const missed = [await outbox.insert(), await outbox.insert({ aggregateType: 'new_kind' })];
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'SLOT_MISSING', exitCode: 65 });
  expect(refusal.hint).toMatch(/^Run `walrelay recover`/);

  const report = await recovered(outbox);
  expect(report).toMatchObject({
    reason: 'missing',
    rows: 3,
    missing: 2,
    published: 2,
    doubtful: 0,
    epoch: 2,
  });
  expect(await outbox.confirmedLsn()).toBe(report.slotLsn);
  const later = await outbox.insert();
  await relayAll(outbox);
  expect(await expectWhole(outbox, report.slotLsn)).toEqual({ rows: 4, recovered: 2 });
  expect(await idsOf(outbox)).toEqual([relayed, missed[0], later]);
  expect(await outbox.redis.hget(outbox.metaKey, 'recovery')).toBe('');
});

test('without --yes it says what it would do and changes nothing; a dry run counts', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.insert();
  const before = await outbox.redis.hgetall(outbox.metaKey);
  const since = await refusedCommand(['recover', '--yes', '--since', 'some day'], outbox.env);
  expect(since).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
  const asked = await recoverCli(outbox, []);
  expect(asked.exitCode).toBe(67);
  expect(asked.stdout).toContain(`The slot ${outbox.name} does not exist.`);
  expect(asked.stdout).toContain('Nothing was changed.');
  const counted = await recoverCli(outbox, ['--dry-run']);
  expect(counted.exitCode).toBe(67);
  expect(counted.stdout).toMatch(/^entries +1 in 1 streams\nrows +2\nmissing +1$/m);
  expect(await outbox.redis.hgetall(outbox.metaKey)).toEqual(before);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
  expect(
    await outbox.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [outbox.name]),
  ).toEqual([]);
});

test('Redis that holds nothing, and no slot: the whole table is published, and the relay goes on', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.redis.del(outbox.metaKey, outbox.stream());
  await outbox.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'order', 'a', 't', to_jsonb(n) FROM generate_series(1, 9000) n",
  );
  const report = await recovered(outbox);
  expect(report).toMatchObject({ entries: 0, rows: 9001, published: 9001, epoch: 1 });
  const entries = await readAllEntries(outbox);
  expect(entries.slice(1).map(({ fields }) => Number(fields['payload']))).toEqual(
    Array.from({ length: 9000 }, (_, index) => index + 1),
  );
  await relayAll(outbox);
  await expectRelays(outbox);
  expect(await expectWhole(outbox)).toEqual({ rows: 9002, recovered: 9001 });
});

test('rows with one and the same time come in the order of their commands, though holes in the table mix them up', async () => {
  await using outbox = await createOutbox();
  await outbox.insert({ aggregateType: 'probe' });
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'hole', 'a', 't', to_jsonb(n) FROM generate_series(1, 2000) n",
  );
  await outbox.query("DELETE FROM outbox WHERE aggregatetype = 'hole'");
  const client = new Client({ connectionString: outbox.databaseUrl });
  await client.connect();
  try {
    await client.query('BEGIN');
    for (let n = 1; n <= 300; n += 1) {
      // The first rows go behind the deleted ones, and once those are vacuumed away, the later rows go in front.
      if (n === 20) await outbox.query('VACUUM outbox');
      await client.query(
        "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', 'a', $1, to_jsonb(repeat('x', 500)))",
        [String(n)],
      );
    }
    await client.query('COMMIT');
  } finally {
    await client.end();
  }
  const [places] = await outbox.query<{ inOrder: boolean }>(
    `SELECT bool_and(ctid > before) AS "inOrder" FROM (SELECT ctid, lag(ctid) OVER (ORDER BY type::int) AS before FROM outbox WHERE aggregatetype = 'order') places`,
  );
  expect(places?.inOrder).toBe(false);
  await recovered(outbox);
  const entries = (await readAllEntries(outbox)).filter(({ stream }) => stream === outbox.stream());
  expect(entries.map(({ fields }) => Number(fields['type']))).toEqual(
    Array.from({ length: 300 }, (_, n) => n + 1),
  );
  await expectWhole(outbox);
});

test('a healthy slot is left alone, also while a relay streams, and so is a slot of another kind', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  expect(await refusedCommand(['recover', '--yes'], outbox.env)).toMatchObject({
    code: 'SLOT_IN_USE',
    exitCode: 69,
  });
  await outbox.insert();
  await outbox.waitUntilConfirmed();
  await daemon.stop();
  const before = await outbox.redis.hgetall(outbox.metaKey);
  expect(await refusedCommand(['recover', '--yes'], outbox.env)).toMatchObject({
    code: 'SLOT_HEALTHY',
    exitCode: 65,
  });
  expect(await outbox.redis.hgetall(outbox.metaKey)).toEqual(before);
  await dropSlot(outbox);
  await outbox.query('SELECT pg_create_physical_replication_slot($1)', [outbox.name]);
  expect(await refusedCommand(['recover', '--yes'], outbox.env)).toMatchObject({
    code: 'SLOT_UNSUITABLE',
    exitCode: 65,
  });
  await dropSlot(outbox);
});

test('the lane state of another cluster or slot is refused before anything is changed', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.redis.hset(outbox.metaKey, 'system_id', '7000000000000000000');
  expect(await refusedCommand(['recover', '--yes'], outbox.env)).toMatchObject({
    code: 'SYSTEM_CHANGED',
    exitCode: 67,
  });
  await outbox.redis.hset(outbox.metaKey, 'slot', 'another');
  expect(await refusedCommand(['recover', '--yes'], outbox.env)).toMatchObject({
    code: 'LANE_FOREIGN',
    exitCode: 67,
  });
  expect(
    await outbox.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1', [outbox.name]),
  ).toEqual([]);
  expect(await outbox.redis.hget(outbox.metaKey, 'recovery')).toBe('');
});

test('a role that may not read the table, or not all of its rows, is refused with the grant before anything is changed', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.insert();
  const role = `${outbox.name}_role`;
  await outbox.query(`CREATE ROLE ${role} LOGIN REPLICATION PASSWORD 'reads-the-table'`);
  const url = new URL(outbox.databaseUrl);
  url.username = role;
  url.password = 'reads-the-table';
  const env = { ...outbox.env, DATABASE_URL: url.href };
  try {
    const before = await outbox.redis.hgetall(outbox.metaKey);
    const refusal = await refusedCommand(['recover', '--yes'], env);
    expect(refusal).toMatchObject({ code: 'PG_PRIVILEGE', exitCode: 65 });
    expect(refusal.hint).toContain('GRANT SELECT ON "public"."outbox"');
    await outbox.query(`GRANT SELECT ON outbox TO ${role}; ALTER TABLE outbox ENABLE ROW LEVEL SECURITY`);
    expect(await refusedCommand(['recover', '--yes'], env)).toMatchObject({
      code: 'PG_PRIVILEGE',
      exitCode: 65,
    });
    expect(await outbox.redis.hgetall(outbox.metaKey)).toEqual(before);
    await outbox.query('ALTER TABLE outbox DISABLE ROW LEVEL SECURITY');
    expect(await recovered(outbox, [], { DATABASE_URL: url.href })).toMatchObject({ published: 1 });
  } finally {
    await outbox.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`);
  }
  await relayAll(outbox);
  await expectWhole(outbox);
});

test('a partitioned table is recovered across its partitions, in order', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await outbox.query(`CREATE TABLE outbox (id uuid DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text,
      type text, payload jsonb, n int, created_at timestamptz DEFAULT clock_timestamp()) PARTITION BY HASH (n);
    CREATE TABLE outbox_0 PARTITION OF outbox FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE outbox_1 PARTITION OF outbox FOR VALUES WITH (MODULUS 2, REMAINDER 1)`);
  await outbox.init();
  await outbox.insert({ aggregateType: 'probe' });
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.query(`INSERT INTO outbox (aggregatetype, aggregateid, type, payload, n)
    SELECT 'order', 'a', 't', to_jsonb(n), n FROM generate_series(1, 1000) n`);
  expect(await recovered(outbox)).toMatchObject({ rows: 1001, published: 1000 });
  const entries = (await readAllEntries(outbox)).filter(({ stream }) => stream === outbox.stream());
  expect(entries.map(({ fields }) => Number(fields['payload']))).toEqual(
    Array.from({ length: 1000 }, (_, n) => n + 1),
  );
  await relayAll(outbox);
  await expectWhole(outbox);
});

test('rows that are older than what a trimmed stream still holds are taken as relayed, and counted', async () => {
  await using outbox = await createOutbox();
  for (let count = 0; count < 10; count += 1) await outbox.insert();
  // A minute apart: within a second, two commits may have their times and their LSNs the other way round.
  await outbox.query("UPDATE outbox SET created_at = created_at - interval '1 minute'");
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.insert();
  await outbox.query(
    "UPDATE outbox SET created_at = created_at + interval '1 minute' WHERE created_at > now() - interval '30 s'",
  );
  await outbox.redis.xtrim(outbox.stream(), 'MAXLEN', 4);
  expect(await recovered(outbox)).toMatchObject({ rows: 11, published: 1, takenAsRelayed: 6, doubtful: 0 });
  expect(await outbox.redis.xlen(outbox.stream())).toBe(5);
});

test('where nothing tells whether rows were relayed it stops in front of them; --since decides', async () => {
  await using outbox = await createOutbox();
  for (let count = 0; count < 3; count += 1) await outbox.insert();
  await relayAll(outbox);
  await outbox.redis.del(outbox.stream());
  await dropSlot(outbox);
  const [mark] = await outbox.query<{ now: string }>('SELECT now()::text AS now');
  const missed = await outbox.insert();
  const refusal = await refusedCommand(['recover', '--yes'], outbox.env);
  expect(refusal).toMatchObject({ code: 'RECOVERY_IN_DOUBT', exitCode: 67 });
  expect(refusal.hint).toContain('--since');
  expect(await outbox.redis.xlen(outbox.stream())).toBe(0);
  // It is not over: no relay streams past it.
  expect(await refusedRun(outbox)).toMatchObject({ code: 'RECOVERY_UNFINISHED', exitCode: 67 });
  // A repair would publish what the recovery has yet to publish.
  const audit = await runCli(['audit'], outbox.env);
  expect(audit.stderr).toContain('RECOVERY_UNFINISHED');

  expect(await recovered(outbox, ['--since', mark?.now ?? ''])).toMatchObject({
    reason: 'unfinished',
    published: 1,
  });
  expect(await idsOf(outbox)).toEqual([missed]);
  await expectRelays(outbox);
});

test('an entry of somebody else, whose commit time is none, neither stops a recovery nor tells it anything', async () => {
  await using outbox = await createOutbox();
  await outbox.redis.xadd(outbox.stream(), '*', 'committed_at', 'yesterday');
  const relayed = await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  const missed = await outbox.insert();
  expect(await recovered(outbox)).toMatchObject({ entries: 1, missing: 1, published: 1, doubtful: 0 });
  const entries = await readAllEntries(outbox);
  expect(entries.map(({ fields }) => fields['id'])).toEqual([undefined, relayed, missed]);
});

test('entries that a consumer has deleted are not published a second time in silence', async () => {
  await using outbox = await createOutbox();
  for (let count = 0; count < 5; count += 1) await outbox.insert();
  await relayAll(outbox);
  const [, second, third] = await outbox.redis.xrange(outbox.stream(), '-', '+');
  await outbox.redis.xdel(outbox.stream(), second?.[0] ?? '', third?.[0] ?? '');
  await dropSlot(outbox);
  // Commit times are trusted to the second: what comes sooner is in doubt itself.
  await waitFor('a second to pass since the first event', async () => {
    const [row] = await outbox.query<{ isLater: boolean }>(
      'SELECT clock_timestamp() > min(created_at) + interval \'1.1 s\' AS "isLater" FROM outbox',
    );
    return row?.isLater === true;
  });
  const missed = await outbox.insert();
  const counted = await recoverCli(outbox, ['--dry-run', '--json']);
  const report: unknown = JSON.parse(counted.stdout);
  expect(report).toMatchObject({ missing: 1, doubtful: 2 });
  const [row] = await outbox.query<{ at: string }>(
    'SELECT created_at::text AS at FROM outbox WHERE id = $1',
    [missed],
  );
  expect(await recovered(outbox, ['--since', row?.at ?? ''])).toMatchObject({ published: 1 });
});

test('an id that a producer has used twice is published as often as the streams lack it', async () => {
  await using outbox = await createOutbox();
  await outbox.query('ALTER TABLE outbox DROP CONSTRAINT outbox_pkey');
  const id = await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.query(
    "INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ($1, 'order', '1', 'again', '{}')",
    [id],
  );
  expect(await recovered(outbox)).toMatchObject({ rows: 2, published: 1 });
  const entries = await readAllEntries(outbox);
  expect(entries.map(({ fields }) => fields['type'])).toEqual(['created', 'again']);
});

test('an event that can not pass stops the recovery in front of it; mended, the next one goes on', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.insert();
  const poison = await outbox.insert({ aggregateType: 'no name' });
  await outbox.insert();
  const refusal = await refusedCommand(['recover', '--yes'], outbox.env);
  expect(refusal).toMatchObject({ code: 'EVENT_STREAM_NAME', exitCode: 68 });
  expect(refusal.message).toContain(poison);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(2);
  await outbox.query("UPDATE outbox SET aggregatetype = 'named' WHERE id = $1", [poison]);
  // Each recovery begins an epoch of its own: what is left of the one before can't write any more.
  expect(await recovered(outbox)).toMatchObject({ published: 2, epoch: 3 });
  await relayAll(outbox);
  expect(await expectWhole(outbox)).toEqual({ rows: 4, recovered: 3 });
});

test('an operator may end an unfinished recovery with an accepted epoch, which says what may be missing', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.insert({ aggregateType: 'no name' });
  expect(await refusedCommand(['recover', '--yes'], outbox.env)).toMatchObject({ code: 'EVENT_STREAM_NAME' });
  expect(await refusedCommand(['init'], outbox.env)).toMatchObject({
    code: 'RECOVERY_UNFINISHED',
    exitCode: 67,
  });
  const accepted = await acceptEpoch(outbox);
  expect(accepted).toContain('RECOVERY_UNFINISHED');
  expect(accepted).toContain('has not published yet');
  await expectRelays(outbox);
});

test('a publication that was altered while the slot was lost: what it left out is published too', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await outbox.query('ALTER PUBLICATION walrelay DROP TABLE outbox');
  await outbox.insert();
  await outbox.query('ALTER PUBLICATION walrelay ADD TABLE outbox');
  await dropSlot(outbox);
  expect(await recovered(outbox)).toMatchObject({ published: 1 });
  await relayAll(outbox);
  await expectWhole(outbox);
});
