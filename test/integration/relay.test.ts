import { expect, test } from 'vitest';
import { expectExact, Oracle, readEntries } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

test('a committed insert becomes an entry with every field, byte for byte', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  const id = await outbox.insert({ payload: '{"b": 12345678901234567890.10, "a": "é\\u0001"}' });
  await outbox.waitForLength(outbox.stream(), 1);
  const [[, fields] = ['', []]] = await outbox.redis.xrange(outbox.stream(), '-', '+');
  expect(fields.filter((_, index) => index % 2 === 0)).toEqual([
    'id',
    'type',
    'aggregate_type',
    'aggregate_id',
    'payload',
    'lsn',
    'seq',
    'committed_at',
  ]);
  expect(fields[1]).toBe(id);
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(1);
  const result = await daemon.stop();
  expect(result.exitCode).toBe(0);
});

test('entries stand in commit order, not in the order of the inserts', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await outbox.start().streaming();
  const early = await outbox.pool.connect();
  const late = await outbox.pool.connect();
  const insert =
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', $1, 't', '{}')";
  await early.query('BEGIN');
  await late.query('BEGIN');
  await early.query(insert, ['inserted first']);
  await late.query(insert, ['inserted second']);
  await late.query('COMMIT');
  await early.query('COMMIT');
  early.release();
  late.release();
  await outbox.waitForLength(outbox.stream(), 2);
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(entries.map((entry) => entry.aggregateId)).toEqual(['inserted second', 'inserted first']);
  await expectExact(outbox, oracle);
});

test('what was rolled back, wholly or to a savepoint, never arrives', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await outbox.start().streaming();
  const client = await outbox.pool.connect();
  const insert =
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', $1, 't', '{}')";
  await client.query('BEGIN');
  await client.query(insert, ['kept']);
  await client.query('SAVEPOINT s');
  await client.query(insert, ['undone']);
  await client.query('ROLLBACK TO s');
  await client.query(insert, ['kept too']);
  await client.query('COMMIT');
  await client.query('BEGIN');
  await client.query(insert, ['undone']);
  await client.query('ROLLBACK');
  client.release();
  await outbox.insert({ aggregateId: 'last' });
  await outbox.waitForLength(outbox.stream(), 3);
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(entries.map((entry) => [entry.aggregateId, entry.seq])).toEqual([
    ['kept', '0'],
    ['kept too', '1'],
    ['last', '0'],
  ]);
  await expectExact(outbox, oracle);
});

test('updates, deletes, truncates and other tables are no events and are confirmed all the same', async () => {
  await using outbox = await createOutbox();
  await outbox.query("ALTER PUBLICATION walrelay SET (publish = 'insert, update, delete, truncate')");
  await outbox.query('CREATE TABLE other (id int PRIMARY KEY)');
  await outbox.query('ALTER PUBLICATION walrelay ADD TABLE other');
  // The publication is not the one that the lane state knows: the operator says that this is fine.
  const { runCli } = await import('../support/cli.ts');
  const accepted = await runCli(['epoch', 'accept', '--yes'], outbox.env);
  expect(accepted).toMatchObject({ exitCode: 0 });
  await outbox.start().streaming();
  const id = await outbox.insert();
  await outbox.query("UPDATE outbox SET type = 'changed' WHERE id = $1", [id]);
  await outbox.query('INSERT INTO other VALUES (1)');
  await outbox.query('DELETE FROM outbox');
  await outbox.query('TRUNCATE outbox');
  await outbox.waitUntilConfirmed();
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(entries.map((entry) => [entry.id, entry.type])).toEqual([[id, 'created']]);
});

test('every column can have another name and order, and NULL leaves a field out', async () => {
  await using outbox = await createOutbox({
    isInitialized: false,
    env: {
      WALRELAY_TABLE: '"Shop Data"."Out Böx"',
      WALRELAY_COLUMN_ID: 'event no',
      WALRELAY_COLUMN_TYPE: 'kind',
      WALRELAY_COLUMN_AGGREGATE_TYPE: 'topic',
      WALRELAY_COLUMN_AGGREGATE_ID: 'Key',
      WALRELAY_COLUMN_PAYLOAD: 'body',
    },
  });
  await outbox.query('CREATE SCHEMA "Shop Data"');
  await outbox.query(
    'CREATE TABLE "Shop Data"."Out Böx" (body bytea, extra int DEFAULT 7, "Key" text, topic text, kind text, "event no" bigserial)',
  );
  await outbox.init();
  await outbox.start().streaming();
  await outbox.query(
    `INSERT INTO "Shop Data"."Out Böx" (body, topic, kind) VALUES ('\\x002a', 'köln/ü', 'k')`,
  );
  const stream = outbox.stream('köln/ü');
  await outbox.waitForLength(stream, 1);
  const [[, fields] = ['', []]] = await outbox.redis.xrange(stream, '-', '+');
  expect(fields.slice(0, 8)).toEqual(['id', '1', 'type', 'k', 'aggregate_type', 'köln/ü', 'payload', '\0*']);
});

test.each([
  ['json', `{"a" :  1.10,\n"a": 18446744073709551616, "s": "\\u00e9\\/"}`],
  ['jsonb', `{"n": 123456789012345678901234567890.000, "deep": ${'['.repeat(2000)}${']'.repeat(2000)}}`],
  ['text', 'line\r\nline\ttab \u0001 \\x00 \u{1F600} 9223372036854775808 NaN'],
  ['bytea', '\\x61c3bc0a00'],
])(
  'a payload of the type %s arrives as Postgres writes it, and a bytea as its bytes',
  async (type, value) => {
    await using outbox = await createOutbox({ isInitialized: false });
    await outbox.query(
      `CREATE TABLE outbox (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text, type text, payload ${type})`,
    );
    await outbox.init();
    await outbox.start().streaming();
    await outbox.query(
      "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 't', $1)",
      [value],
    );
    await outbox.waitForLength(outbox.stream(), 1);
    const [row] = await outbox.query<{ bytes: Buffer }>(
      `SELECT ${type === 'bytea' ? 'payload' : "convert_to(payload::text, 'UTF8')"} AS bytes FROM outbox`,
    );
    const reply = (await outbox.redis.callBuffer('XRANGE', outbox.stream(), '-', '+')) as [
      [Buffer, Buffer[]],
    ];
    const fields = reply[0][1];
    const payload = fields[fields.findIndex((field) => field.toString() === 'payload') + 1];
    expect(payload?.equals(row?.bytes ?? Buffer.alloc(0))).toBe(true);
  },
);

test('a stream name can be made of several columns', async () => {
  await using outbox = await createOutbox({ env: {} });
  await outbox
    .start({ WALRELAY_STREAM: `${outbox.name}.\${aggregatetype}.\${type}.\${aggregateid}` })
    .streaming();
  await outbox.insert({ aggregateType: 'a', type: 'b', aggregateId: 'c' });
  await outbox.insert({ aggregateType: 'a', type: 'bc', aggregateId: 'c' });
  await outbox.waitForLength(`${outbox.name}.a.b.c`, 1);
  await outbox.waitForLength(`${outbox.name}.a.bc.c`, 1);
  expect((await readEntries(outbox.redis, outbox.name)).size).toBe(2);
});

test('ten thousand streams in one backlog arrive exactly', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT 'kind' || i % 10000, i::text, 't', '{}' FROM generate_series(1, 20000) i`,
  );
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(20_000);
});

test('the confirmed position follows while other tables and databases write and the outbox is idle', async () => {
  await using outbox = await createOutbox();
  await outbox.start().streaming();
  await outbox.query('CREATE TABLE busy (t text)');
  const before = await outbox.confirmedLsn();
  await outbox.query("INSERT INTO busy SELECT repeat('x', 100) FROM generate_series(1, 20000)");
  await outbox.waitUntilConfirmed();
  expect(await outbox.redis.exists(outbox.stream())).toBe(0);
  await waitFor('the restart position to follow', async () => {
    const [row] = await outbox.query<{ hasMoved: boolean }>(
      `SELECT confirmed_flush_lsn > $2::pg_lsn AS "hasMoved" FROM pg_replication_slots WHERE slot_name = $1`,
      [outbox.name, before],
    );
    return row?.hasMoved;
  });
});
