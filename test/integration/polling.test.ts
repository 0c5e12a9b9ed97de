import { readFileSync } from 'node:fs';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { readEntries } from '../support/exactness.ts';
import {
  comparePolled,
  createPolledOutbox,
  expectOrderPerAggregate,
  insertMany,
  startPolling,
  untilPolled,
  writeConcurrently,
} from '../support/polled-outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

const NOTIFY_TRIGGER = readFileSync(new URL('../../postgres/notify-trigger.sql', import.meta.url), 'utf8');

test('a row becomes an entry with the fields of run, but for those that only the WAL tells, and is deleted', async () => {
  await using outbox = await createPolledOutbox();
  const daemon = await startPolling(outbox);
  const id = await outbox.insert({ payload: '{"total": 42}' });
  await untilPolled(outbox);
  const [[, fields] = ['', []]] = await outbox.redis.xrange(outbox.stream(), '-', '+');
  expect(pairsOf(fields)).toEqual([
    ['id', id],
    ['type', 'created'],
    ['aggregate_type', 'order'],
    ['aggregate_id', '1'],
    ['payload', '{"total": 42}'],
  ]);
  expect(await outbox.query('SELECT FROM outbox')).toEqual([]);
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
  const [session] = await outbox.query(
    "SELECT FROM pg_stat_activity WHERE application_name = 'walrelay-poll' AND datname = current_database()",
  );
  expect(session).toBeUndefined();
});

test.each([
  [1, 'delete'],
  [4, 'delete'],
  [1, 'mark'],
  [4, 'mark'],
])('%i workers that %s publish what eight writers committed, each once', async (workers, after) => {
  await using outbox = await createPolledOutbox();
  await startPolling(outbox, {
    WALRELAY_POLL_WORKERS: String(workers),
    WALRELAY_POLL_AFTER: after,
    WALRELAY_POLL_INTERVAL_MS: '1',
    WALRELAY_POLL_BATCH_EVENTS_MAX: '50',
    WALRELAY_BATCH_EVENTS_MAX: '20',
  });
  await writeConcurrently(outbox, { seed: workers, writers: 8, transactions: 60 });
  await untilPolled(outbox);
  const { events, duplicates } = await comparePolled(outbox);
  expect(events).toBeGreaterThan(3000);
  expect(duplicates).toBe(0);
  if (workers === 1) await expectOrderPerAggregate(outbox);
  const [left] = await outbox.query<{ count: string }>('SELECT count(published_at) FROM outbox');
  expect(left?.count).toBe(after === 'mark' ? String(events) : '0');
});

test('two relays of one worker each take turns: nothing comes twice, and the order is kept', async () => {
  await using outbox = await createPolledOutbox();
  const env = { WALRELAY_POLL_INTERVAL_MS: '1', WALRELAY_POLL_BATCH_EVENTS_MAX: '10' };
  const [first] = await Promise.all([startPolling(outbox, env), startPolling(outbox, env)]);
  await writeConcurrently(outbox, { seed: 7, writers: 8, transactions: 30 });
  await first?.stop();
  await outbox.insert();
  await untilPolled(outbox);
  expect((await comparePolled(outbox)).duplicates).toBe(0);
  await expectOrderPerAggregate(outbox);
});

test('rows are claimed in the order of the column that is named', async () => {
  await using outbox = await createPolledOutbox({ env: { WALRELAY_POLL_ORDER_COLUMN: 'aggregateid' } });
  await outbox.query('CREATE INDEX ON outbox (aggregateid)');
  for (const aggregateId of ['c', 'a', 'd', 'b']) await outbox.insert({ aggregateId });
  await startPolling(outbox, { WALRELAY_POLL_BATCH_EVENTS_MAX: '3' });
  await outbox.waitForLength(outbox.stream(), 4);
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(entries.map((entry) => entry.aggregateId)).toEqual(['a', 'b', 'c', 'd']);
});

test('rows of one transaction with one time stamp come in the order of their inserts', async () => {
  await using outbox = await createPolledOutbox({ env: { WALRELAY_POLL_ORDER_COLUMN: 'created_at' } });
  await outbox.query('ALTER TABLE outbox ADD COLUMN created_at timestamptz DEFAULT now()');
  await outbox.query('ALTER TABLE history ADD COLUMN created_at timestamptz');
  await outbox.query('CREATE INDEX ON outbox (created_at)');
  await insertMany(outbox, 2000);
  await startPolling(outbox, { WALRELAY_POLL_BATCH_EVENTS_MAX: '700' });
  await outbox.waitForLength(outbox.stream(), 2000);
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(entries.map((entry) => Number(entry.aggregateId))).toEqual(
    Array.from({ length: 2000 }, (_, index) => index + 1),
  );
});

test('a NOTIFY wakes the relay long before its interval is over', async () => {
  await using outbox = await createPolledOutbox();
  await outbox.query(NOTIFY_TRIGGER);
  await outbox.query(NOTIFY_TRIGGER);
  const daemon = await startPolling(outbox, {
    WALRELAY_POLL_INTERVAL_MS: '600000',
    WALRELAY_POLL_LISTEN_CHANNEL: 'walrelay_outbox',
  });
  for (let count = 1; count <= 5; count += 1) {
    const insertedAtMs = performance.now();
    await outbox.insert();
    await outbox.waitForLength(outbox.stream(), count);
    expect(performance.now() - insertedAtMs).toBeLessThan(5000);
  }
  await insertMany(outbox, 300);
  await outbox.waitForLength(outbox.stream(), 305);
  await untilPolled(outbox);
  // What is claimed while the relay works is not forgotten either.
  await writeConcurrently(outbox, { seed: 3, writers: 4, transactions: 20 });
  await untilPolled(outbox);
  expect((await comparePolled(outbox)).duplicates).toBe(0);
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test.each([
  ['json', `{"a" :  1.10,\n"a": 18446744073709551616, "s": "\\u00e9\\/"}`],
  ['jsonb', `{"n": 123456789012345678901234567890.000, "deep": ${'['.repeat(2000)}${']'.repeat(2000)}}`],
  ['text', `line\r\nline\ttab \u0001 \\x00 \u{1F600} ${'ü'.repeat(70_000)} NaN`],
  ['bytea', '\\xdeadbeef00ff'],
  ['char(5)', 'ab   '],
])(
  'a payload of the type %s arrives as Postgres writes it, and a bytea as its bytes',
  async (payloadType, payload) => {
    await using outbox = await createPolledOutbox({ payloadType });
    await outbox.insert({ payload });
    const [row] = await outbox.query<{ bytes: Buffer }>(
      `SELECT ${payloadType === 'bytea' ? 'payload' : "convert_to(format('%s', payload), 'UTF8')"} AS bytes FROM outbox`,
    );
    await startPolling(outbox);
    await outbox.waitForLength(outbox.stream(), 1);
    const reply = (await outbox.redis.callBuffer('XRANGE', outbox.stream(), '-', '+')) as [
      [Buffer, Buffer[]],
    ];
    const fields = reply[0][1];
    const payloadField = fields[fields.findIndex((field) => field.toString() === 'payload') + 1];
    expect(payloadField?.equals(row?.bytes ?? Buffer.alloc(0))).toBe(true);
  },
);

test('bytes of a database without an encoding are passed on as they are', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  const name = `${outbox.name}_ascii`;
  await outbox.query(
    `CREATE DATABASE ${name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0`,
  );
  const url = new URL(outbox.databaseUrl);
  url.pathname = `/${name}`;
  const client = new Client({ connectionString: url.href });
  await client.connect();
  await client.query("SET client_encoding TO 'SQL_ASCII'");
  await client.query(
    'CREATE TABLE outbox (id bigserial PRIMARY KEY, aggregatetype text, aggregateid text, type text, payload text)',
  );
  await client.query(
    "INSERT INTO outbox (aggregatetype, type, payload) VALUES ('order', 't', E'caf\\xe9 \\xff')",
  );
  const daemon = await startPolling(outbox, { DATABASE_URL: url.href, WALRELAY_POLL_ORDER_COLUMN: 'id' });
  await outbox.waitForLength(outbox.stream(), 1);
  const reply = (await outbox.redis.callBuffer('XRANGE', outbox.stream(), '-', '+')) as [[Buffer, Buffer[]]];
  const fields = reply[0][1].map((field) => field.toString('latin1'));
  expect(fields).toEqual(['id', '1', 'type', 't', 'aggregate_type', 'order', 'payload', 'café ÿ']);
  await daemon.stop();
  await client.end();
  await outbox.query(`DROP DATABASE ${name} WITH (FORCE)`);
});

test.each(['delete', 'mark'])(
  'rows of a partitioned table are claimed in one order, to %s',
  async (after) => {
    await using outbox = await createOutbox({ isInitialized: false });
    await outbox.query(`CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, aggregatetype text,
    aggregateid text, type text, payload text, published_at timestamptz) PARTITION BY HASH (id)`);
    for (const part of [0, 1, 2])
      await outbox.query(
        `CREATE TABLE part${part} PARTITION OF outbox FOR VALUES WITH (MODULUS 3, REMAINDER ${part})`,
      );
    await insertMany(outbox, 1000);
    await startPolling(outbox, {
      WALRELAY_POLL_ORDER_COLUMN: 'id',
      WALRELAY_POLL_AFTER: after,
      WALRELAY_POLL_BATCH_EVENTS_MAX: '300',
    });
    await outbox.waitForLength(outbox.stream(), 1000);
    await untilPolled(outbox);
    const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
    expect(entries.map((entry) => entry.aggregateId)).toEqual(
      Array.from({ length: 1000 }, (_, index) => String(index + 1)),
    );
  },
);

test('every column can have another name, NULL leaves a field out, and a stream can be named by any column', async () => {
  await using outbox = await createOutbox({
    isInitialized: false,
    env: {
      WALRELAY_TABLE: '"Shop Data"."Out Böx"',
      WALRELAY_COLUMN_ID: 'event no',
      WALRELAY_COLUMN_TYPE: 'kind',
      WALRELAY_COLUMN_AGGREGATE_TYPE: 'topic',
      WALRELAY_COLUMN_AGGREGATE_ID: 'Key',
      WALRELAY_COLUMN_PAYLOAD: 'body',
      WALRELAY_POLL_ORDER_COLUMN: 'event no',
      WALRELAY_POLL_MARK_COLUMN: 'done "at"',
      WALRELAY_POLL_AFTER: 'mark',
    },
  });
  await outbox.query('CREATE SCHEMA "Shop Data"');
  await outbox.query(
    'CREATE TABLE "Shop Data"."Out Böx" (body bytea, extra int, "Key" text, topic text, kind text, "event no" bigserial, "done ""at""" timestamptz)',
  );
  await outbox.query(`CREATE INDEX ON "Shop Data"."Out Böx" ("event no") WHERE "done ""at""" IS NULL`);
  const daemon = await startPolling(outbox, {
    WALRELAY_STREAM: `${outbox.name}.\${aggregatetype}.\${extra}`,
  });
  await outbox.query(
    `INSERT INTO "Shop Data"."Out Böx" (body, topic, extra) VALUES ('\\x002a', 'köln', 7), ('\\x', 'köln', 8)`,
  );
  for (const [stream, id, body] of [
    ['köln.7', '1', '\0*'],
    ['köln.8', '2', ''],
  ] as const) {
    await outbox.waitForLength(outbox.stream(stream), 1);
    const [[, fields] = ['', []]] = await outbox.redis.xrange(outbox.stream(stream), '-', '+');
    expect(fields).toEqual(['id', id, 'aggregate_type', 'köln', 'payload', body]);
  }
  await waitFor('both to be marked', async () => {
    const [row] = await outbox.query<{ count: string }>(
      'SELECT count("done ""at""") FROM "Shop Data"."Out Böx"',
    );
    return row?.count === '2';
  });
  expect(daemon.stderr).not.toContain('CREATE INDEX');
});

test('it is ready while it polls, and its metrics move with the events', async () => {
  await using outbox = await createPolledOutbox();
  const daemon = await startPolling(outbox);
  await insertMany(outbox, 25);
  await untilPolled(outbox);
  const url = await daemon.httpUrl();
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(200);
  expect(await ready.json()).toMatchObject({ phase: 'polling', isPolling: true });
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/^walrelay_events_total 25$/m);
  expect(metrics).toMatch(/^walrelay_sessions_total 1$/m);
  expect(metrics).toMatch(/^walrelay_phase\{phase="polling"\} 1$/m);
  expect(metrics).toMatch(/^walrelay_claims_total\{result="empty"\} [1-9]/m);
  expect(metrics).toMatch(/^walrelay_claims_total\{result="partial"\} [1-9]/m);
  expect(metrics).toMatch(/^walrelay_append_duration_seconds_count [1-9]/m);
  expect(metrics).toMatch(/^walrelay_last_event_timestamp_seconds [1-9]/m);
});

function pairsOf(fields: readonly string[]): string[][] {
  return Array.from({ length: fields.length / 2 }, (_, index) => fields.slice(2 * index, 2 * index + 2));
}
