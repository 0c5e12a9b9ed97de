import { expect, test } from 'vitest';
import { audit, entryOf, passSlack } from '../support/audit-cli.ts';
import { runCli } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { Role } from '../support/setup-role.ts';

const NOTHING = { missing: 0, duplicated: 0, misordered: 0, altered: 0, foreign: 0 };

/** Events in the stream `order`, of which all but the first are behind the slack. */
async function relayedEvents(outbox: Outbox, count: number): Promise<string[]> {
  const daemon = outbox.start();
  await daemon.streaming();
  const ids = [await outbox.insert()];
  await outbox.waitForLength(outbox.stream(), 1);
  await passSlack(outbox);
  while (ids.length < count) ids.push(await outbox.insert({ aggregateId: String(ids.length % 3) }));
  await outbox.waitForLength(outbox.stream(), count);
  return ids;
}

/** The fields of an event's entry. */
async function fieldsOf(outbox: Outbox, eventId: string): Promise<string[]> {
  const entryId = await entryOf(outbox, eventId);
  const [entry] = await outbox.redis.xrange(outbox.stream(), entryId, entryId);
  return entry?.[1] ?? [];
}

test('an audit of a table and streams that agree is clean, whatever the payload holds', async () => {
  await using outbox = await createOutbox();
  await relayedEvents(outbox, 4);
  for (const payload of ['{"text": "ß→漢字😀"}', '12345678901234567890.10', '"\\\\ \\u0001"', 'null']) {
    await outbox.insert({ aggregateType: 'invoice', type: '', payload });
  }
  const { exitCode, report } = await audit(outbox);
  expect(report).toMatchObject({ rows: 8, entries: 8, streams: 2, findings: NOTHING });
  expect(report.relay.judgedBy).toBe('snapshot');
  expect(exitCode).toBe(0);
});

test('an entry that somebody deleted is missing, and named; an audit of another time says nothing of it', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 6);
  const gone = ids[3] as string;
  await outbox.redis.xdel(outbox.stream(), await entryOf(outbox, gone));
  const all = await audit(outbox);
  expect(all.report.findings).toEqual({ ...NOTHING, missing: 1 });
  expect(all.report.examples.missing).toMatchObject([{ stream: outbox.stream(), eventId: gone }]);
  expect(all.exitCode).toBe(71);
  expect((await audit(outbox, ['--last', '1h'])).report.findings).toEqual({ ...NOTHING, missing: 1 });
  const other = await audit(outbox, ['--to', '2020-01-01']);
  expect(other).toMatchObject({ exitCode: 0, report: { rows: 0, findings: NOTHING } });
});

test('a stream that was deleted is missing as a whole', async () => {
  await using outbox = await createOutbox();
  await relayedEvents(outbox, 2);
  for (let count = 0; count < 3; count += 1) await outbox.insert({ aggregateType: 'invoice' });
  await outbox.waitForLength(outbox.stream('invoice'), 3);
  await outbox.redis.del(outbox.stream('invoice'));
  const { exitCode, report } = await audit(outbox);
  expect(report.findings).toEqual({ ...NOTHING, missing: 3 });
  expect(exitCode).toBe(71);
});

test('an entry that stands twice at one position is duplicated; two rows with one id are not, and are told', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 3);
  await outbox.query('ALTER TABLE outbox DROP CONSTRAINT outbox_pkey');
  await outbox.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ($1, 'order', '1', 'again', '{}')`,
    [ids[1]],
  );
  await outbox.waitForLength(outbox.stream(), 4);
  const before = await audit(outbox);
  expect(before.report).toMatchObject({ findings: NOTHING, notes: { repeatedIds: 1 } });
  expect(before.exitCode).toBe(0);

  await outbox.redis.xadd(outbox.stream(), '*', ...(await fieldsOf(outbox, ids[2] as string)));
  const after = await audit(outbox);
  expect(after.report.findings).toEqual({ ...NOTHING, duplicated: 1 });
  expect(after.exitCode).toBe(71);
});

test('entries that changed places are misordered, also in their aggregate', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 8);
  const early = await fieldsOf(outbox, ids[4] as string);
  await outbox.redis.xdel(outbox.stream(), await entryOf(outbox, ids[4] as string));
  await outbox.redis.xadd(outbox.stream(), '*', ...early);
  const { report } = await audit(outbox);
  expect(report).toMatchObject({
    findings: { ...NOTHING, misordered: 1 },
    // Numbers 4 and 7 are of one aggregate.
    notes: { misorderedInAggregate: 1 },
  });
});

test('an entry that says something else than its row is altered; one that nobody of us wrote is foreign', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 3);
  await outbox.query(`UPDATE outbox SET payload = '{"other": true}' WHERE id = $1`, [ids[1]]);
  await outbox.redis.xadd(outbox.stream(), '*', 'greeting', 'hello');
  const { report, exitCode } = await audit(outbox);
  expect(report.findings).toEqual({ ...NOTHING, altered: 1, foreign: 1 });
  expect(report.examples.altered).toMatchObject([{ entryId: await entryOf(outbox, ids[1] as string) }]);
  expect(exitCode).toBe(71);
});

test('what was trimmed can not be told, and is not missing; --complete says that it is', async () => {
  await using outbox = await createOutbox();
  await relayedEvents(outbox, 6);
  await outbox.redis.xtrim(outbox.stream(), 'MAXLEN', 2);
  const { exitCode, report } = await audit(outbox);
  expect(report.findings).toEqual(NOTHING);
  expect(report.notes.trimmed + report.notes.olderThanStreams).toBe(4);
  expect(exitCode).toBe(0);
  await outbox.redis.xtrim(outbox.stream(), 'MAXLEN', 0);
  expect((await audit(outbox)).report.findings).toEqual(NOTHING);
  expect((await audit(outbox, ['--complete'])).report.findings.missing).toBe(6);
});

test('rows that were there before the relay are not missing', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await outbox.query(
    `CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text NOT NULL,
       aggregateid text NOT NULL, type text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
  );
  await outbox.insert();
  await outbox.init();
  const daemon = outbox.start();
  await daemon.streaming();
  const empty = await audit(outbox);
  expect(empty).toMatchObject({ exitCode: 0, report: { findings: NOTHING, notes: { olderThanStreams: 1 } } });
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  expect(await audit(outbox)).toMatchObject({
    exitCode: 0,
    report: { findings: NOTHING, notes: { olderThanStreams: 1 } },
  });
});

test('deleted rows leave entries without a row, which is as it should be', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 5);
  await outbox.query('DELETE FROM outbox WHERE id = ANY ($1)', [ids.slice(0, 3)]);
  expect(await audit(outbox)).toMatchObject({
    exitCode: 0,
    report: { rows: 2, entries: 5, findings: NOTHING, notes: { withoutRow: 3 } },
  });
});

test('what is committed while no relay runs is in flight, not missing', async () => {
  await using outbox = await createOutbox();
  const relay = outbox.start();
  await relay.streaming();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await relay.kill();
  for (let count = 0; count < 5; count += 1) await outbox.insert();
  const { exitCode, report } = await audit(outbox, ['--wait', '0']);
  expect(report).toMatchObject({ findings: NOTHING, notes: { inFlight: 5 } });
  expect(exitCode).toBe(0);
});

test('an open transaction is neither missing nor in flight; once it is relayed, it is judged', async () => {
  await using outbox = await createOutbox();
  await relayedEvents(outbox, 2);
  const client = await outbox.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query(
      `INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '9', 'late', '{}')`,
    );
    await outbox.insert();
    await outbox.waitForLength(outbox.stream(), 3);
    const open = await audit(outbox);
    expect(open.report).toMatchObject({ rows: 3, findings: NOTHING });
    await client.query('COMMIT');
  } finally {
    client.release();
  }
  await outbox.waitForLength(outbox.stream(), 4);
  const last = (await outbox.redis.xrevrange(outbox.stream(), '+', '-', 'COUNT', 1))[0];
  await outbox.redis.xdel(outbox.stream(), last?.[0] ?? '');
  expect((await audit(outbox)).report.findings).toEqual({ ...NOTHING, missing: 1 });
});

test('a partitioned table with quoted column names and a stream by another column is compared', async () => {
  await using outbox = await createOutbox({
    isInitialized: false,
    env: {
      WALRELAY_TABLE: 'public."Out ""box"',
      WALRELAY_COLUMN_ID: 'Event Id',
      WALRELAY_COLUMN_AGGREGATE_TYPE: 'select',
      WALRELAY_COLUMN_PAYLOAD: 'the "payload"',
      WALRELAY_COLUMN_TIME: 'When',
    },
  });
  await outbox.query(
    `CREATE TABLE "Out ""box" ("Event Id" bigint, "select" text, aggregateid text, type text, "the ""payload""" text,
       region text, "When" timestamptz NOT NULL DEFAULT now()) PARTITION BY LIST (region)`,
  );
  await outbox.query(`CREATE TABLE part_a PARTITION OF "Out ""box" FOR VALUES IN ('a')`);
  await outbox.query(`CREATE TABLE part_b PARTITION OF "Out ""box" FOR VALUES IN ('b', 'é')`);
  const env = { WALRELAY_STREAM: `${outbox.name}.\${region}.\${aggregatetype}` };
  expect((await runCli(['init'], { ...outbox.env, ...env })).exitCode).toBe(0);
  const daemon = outbox.start(env);
  await daemon.streaming();
  const insert = (ids: string, region: string) =>
    outbox.query(
      `INSERT INTO "Out ""box" SELECT n, 'order', 'A', 't', 'p' || n, $1 FROM generate_series(${ids}) n`,
      [region],
    );
  await insert('0, 0', 'a');
  await outbox.waitForLength(`${outbox.name}.a.order`, 1);
  await passSlack(outbox, `${outbox.name}.a.order`);
  await insert('1, 50', 'a');
  await insert('51, 100', 'b');
  await insert('101, 150', 'é');
  await outbox.query(`INSERT INTO "Out ""box" VALUES (NULL, 'order', 'A', 't', NULL, 'a')`);
  await outbox.waitForLength(`${outbox.name}.é.order`, 50);
  await outbox.waitForLength(`${outbox.name}.a.order`, 52);
  const clean = await audit(outbox, [], env);
  expect(clean.report).toMatchObject({
    rows: 152,
    streams: 3,
    findings: NOTHING,
    notes: { rowsWithoutId: 1, entriesWithoutId: 1 },
  });
  await outbox.redis.xdel(`${outbox.name}.a.order`, await entryOf(outbox, '7', `${outbox.name}.a.order`));
  const missing = await audit(outbox, ['--repair', '--yes'], env);
  expect(missing).toMatchObject({
    exitCode: 0,
    report: { findings: { ...NOTHING, missing: 1 }, repair: { recovered: 1 } },
  });
  await outbox.query('CREATE INDEX ON "Out ""box" ("When")');
  expect(await audit(outbox, ['--last', '1h'], env)).toMatchObject({
    exitCode: 0,
    report: { rows: 152, findings: NOTHING, notes: { recovered: 1 } },
  });
});

test('a table without a time column is audited with --column-time none; what is missing needs --complete', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await outbox.query(
    'CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text, type text, payload text)',
  );
  await outbox.init();
  const daemon = outbox.start();
  await daemon.streaming();
  const ids = [await outbox.insert(), await outbox.insert()];
  await outbox.waitForLength(outbox.stream(), 2);
  const refused = await runCli(['audit'], outbox.env);
  expect(refused.exitCode).toBe(65);
  expect(refused.stderr).toContain('COLUMN_MISSING');
  expect(refused.stderr).toContain('--column-time');
  expect(await audit(outbox, ['--column-time', 'none', '--complete'])).toMatchObject({ exitCode: 0 });
  await outbox.redis.xdel(outbox.stream(), await entryOf(outbox, ids[0] as string));
  expect(await audit(outbox, ['--column-time', 'none'])).toMatchObject({
    exitCode: 0,
    report: { notes: { olderThanStreams: 1 } },
  });
  expect(await audit(outbox, ['--column-time', 'none', '--complete'])).toMatchObject({
    exitCode: 71,
    report: { findings: { missing: 1 } },
  });
});

test('a role that may not read the table is refused with the grant; with it, the audit runs', async () => {
  await using outbox = await createOutbox();
  await relayedEvents(outbox, 2);
  await outbox.query('REVOKE ALL ON SCHEMA public FROM PUBLIC');
  await using role = await Role.create(outbox, 'LOGIN REPLICATION');
  const env = { DATABASE_URL: role.url };
  const refused = await runCli(['audit'], { ...outbox.env, ...env });
  expect(refused.exitCode).toBe(65);
  expect(refused.stderr).toContain('PG_PRIVILEGE');
  const grant = /fix: (GRANT .*)/.exec(refused.stderr)?.[1] ?? '';
  expect(grant).toContain(`GRANT SELECT ON "public"."outbox" TO "${role.name}"`);
  await outbox.query(grant);
  expect(await audit(outbox, [], env)).toMatchObject({ exitCode: 0, report: { rows: 2 } });
});

test('arguments that make no sense are refused before any server is asked', async () => {
  const env = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/x', REDIS_URL: 'redis://127.0.0.1:1' };
  for (const [args, text] of [
    [['--last', '1h', '--from', '2026-01-01'], '--last goes with neither'],
    [['--from', '2026-01-02', '--to', '2026-01-01'], '--from has to be before --to'],
    [['--from', 'yesterday'], 'expected a time such as'],
    [['--yes'], '--yes goes with --repair'],
    [['--column-time', 'none', '--last', '1h'], 'needs a time column'],
  ] as const) {
    const { exitCode, stderr } = await runCli(['audit', ...args], env);
    expect(stderr).toContain(text);
    expect(exitCode).toBe(78);
  }
});

test('a server promoted or restored under the lane state is not audited', async () => {
  await using outbox = await createOutbox();
  await relayedEvents(outbox, 2);
  await outbox.redis.hset(outbox.metaKey, 'system_id', '1');
  const { exitCode, stderr } = await runCli(['audit'], outbox.env);
  expect(stderr).toContain('SYSTEM_CHANGED');
  expect(exitCode).toBe(67);
});
