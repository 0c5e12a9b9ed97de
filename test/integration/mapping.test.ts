import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { partitionOf } from '../../src/route/partition-of.ts';
import { runCli } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/** Schemas as people have them: what the file says of them, and what becomes of a row, byte for byte. */

type Fields = Record<string, string>;

/** An outbox whose tables are made by `sql` and described by `yaml`. */
async function mapped(sql: string, yaml: string): Promise<Outbox> {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-mapping-')), 'walrelay.yaml');
  writeFileSync(path, yaml);
  const outbox = await createOutbox({
    isInitialized: false,
    env: { WALRELAY_CONFIG: path, WALRELAY_COLUMN_TIME: 'none' },
  });
  await outbox.query(sql);
  return outbox;
}

/** The entries of a stream, each field as latin1: one character a byte. */
async function entriesOf(outbox: Outbox, stream: string, count: number): Promise<Fields[]> {
  await outbox.waitForLength(outbox.stream(stream), count);
  const reply = (await outbox.redis.callBuffer('XRANGE', outbox.stream(stream), '-', '+')) as [
    Buffer,
    Buffer[],
  ][];
  return reply.map(([, list]) => {
    const fields: Fields = {};
    for (let at = 0; at + 1 < list.length; at += 2)
      fields[list[at]!.toString()] = list[at + 1]!.toString('latin1');
    return fields;
  });
}

function without(fields: Fields, ...names: string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

const latin1 = (text: string) => Buffer.from(text).toString('latin1');
const FROM_WAL = ['lsn', 'seq', 'committed_at'];

test('composite and large ids, missing roles, headers, constants, bytea and quoted names arrive as the file says', async () => {
  await using outbox = await mapped(
    `CREATE TABLE "Böx ""1""" ("Nr" bigint, teil int, "Ämt" text, body bytea, trace text, PRIMARY KEY ("Nr", teil))`,
    `
table: '"Böx ""1"""'
columnId: Nr, teil
columnType: none
columnAggregateType: Ämt
columnAggregateId: none
columnPayload: body
fields:
  traceparent: trace
  größe: body
staticFields:
  source: "shop's \\"outbox\\"\\n"
`,
  );
  await outbox.init();
  await outbox.start().streaming();
  await outbox.query(`INSERT INTO "Böx ""1""" VALUES
    (9223372036854775807, 1, 'a', '\\x00ff0a2200', '00-abc-01'), (2, -7, 'a', '\\x', NULL), (3, 3, 'a', NULL, '')`);
  const entries = await entriesOf(outbox, 'a', 3);
  const source = latin1('shop\'s "outbox"\n');
  const bytes = '\x00\xff\n"\x00';
  expect(entries.map((fields) => without(fields, ...FROM_WAL))).toEqual([
    {
      id: '9223372036854775807:1',
      aggregate_type: 'a',
      payload: bytes,
      traceparent: '00-abc-01',
      größe: bytes,
      source,
    },
    { id: '2:-7', aggregate_type: 'a', payload: '', größe: '', source },
    { id: '3:3', aggregate_type: 'a', traceparent: '', source },
  ]);
  expect(entries.map(({ seq }) => seq)).toEqual(['0', '1', '2']);

  await outbox.waitUntilConfirmed();
  const audit = await runCli(['audit', '--complete', '--json'], outbox.env);
  expect(JSON.parse(audit.stdout)).toMatchObject({
    rows: 3,
    entries: 3,
    findings: { missing: 0, altered: 0 },
  });
  const explained = await runCli(['explain', '2:-7', '--json'], outbox.env);
  expect(JSON.parse(explained.stdout)).toMatchObject({
    rows: [{ payloadBytes: 0 }],
    entries: [{ position: entries[1]!['lsn'] + ' #1' }],
  });

  // What a repair and a replay append is the same entry, but for what only the WAL tells.
  const [[firstId] = ['']] = await outbox.redis.xrange(outbox.stream('a'), '-', '+', 'COUNT', 1);
  const replayed = await runCli(['replay', '--id', '9223372036854775807:1', '--yes'], outbox.env);
  expect(replayed).toMatchObject({ exitCode: 0 });
  const again = await entriesOf(outbox, 'a', 4);
  expect(without(again[3]!, 'replayed_at')).toEqual(without(entries[0]!, ...FROM_WAL));
  await outbox.redis.xdel(outbox.stream('a'), firstId);
}, 120_000);

const TWO = `
CREATE TABLE orders_outbox (id bigserial PRIMARY KEY, aggregatetype text, aggregateid text, type text, payload jsonb);
CREATE SCHEMA billing;
CREATE TABLE billing.events (event_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), kind text, doc json, tenant text)`;

function twoOutboxes(name: string): string {
  return `
columnTime: none
outboxes:
  - name: orders
    table: orders_outbox
    stream: ${name}.orders
  - table: billing.events
    stream: ${name}.billing
    columnId: event_id
    columnType: kind
    columnAggregateType: none
    columnAggregateId: tenant
    columnPayload: doc
`;
}

async function twoTables(): Promise<Outbox> {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-mapping-')), 'walrelay.yaml');
  const outbox = await createOutbox({ isInitialized: false, env: { WALRELAY_CONFIG: path } });
  writeFileSync(path, twoOutboxes(outbox.name));
  await outbox.query(TWO);
  await outbox.init();
  return outbox;
}

test('two tables in one transaction go each to its stream, and their ordinals tell the order', async () => {
  await using outbox = await twoTables();
  await outbox.start().streaming();
  await outbox.query(`BEGIN;
    INSERT INTO orders_outbox (aggregatetype, aggregateid, type, payload) VALUES ('o', '1', 'made', '{"n": 1}');
    INSERT INTO billing.events (kind, doc, tenant) VALUES ('billed', '{"n" :2}', NULL);
    INSERT INTO orders_outbox (aggregatetype, aggregateid, type, payload) VALUES ('o', '1', 'paid', '{"n": 3}');
    COMMIT`);
  const orders = await entriesOf(outbox, 'orders', 2);
  const billing = await entriesOf(outbox, 'billing', 1);
  expect(orders.map(({ type, seq }) => [type, seq])).toEqual([
    ['made', '0'],
    ['paid', '2'],
  ]);
  expect(without(billing[0]!, 'id', 'lsn', 'committed_at')).toEqual({
    type: 'billed',
    payload: '{"n" :2}',
    seq: '1',
  });
  expect(billing[0]!['lsn']).toBe(orders[0]!['lsn']);
  await outbox.waitUntilConfirmed();

  const audit = await runCli(['audit', '--complete', '--json'], outbox.env);
  expect(JSON.parse(audit.stdout)).toMatchObject([
    { rows: 2, entries: 2 },
    { rows: 1, entries: 1 },
  ]);
  expect(audit.exitCode).toBe(0);
  const poll = await runCli(['poll'], outbox.env);
  expect(poll.exitCode).not.toBe(0);
  expect(poll.stderr).toContain('is about one outbox, and the settings have several: orders, billing.events');
}, 120_000);

test('a relay of two tables that is killed again and again appends each event once, in order', async () => {
  await using outbox = await twoTables();
  const writers = new AbortController();
  const writing = Promise.all(
    [0, 1, 2].map(async (writer) => {
      for (let turn = 0; !writers.signal.aborted; turn += 1) {
        await outbox.query(`INSERT INTO orders_outbox (aggregatetype, aggregateid, type, payload)
            SELECT 'o', '${writer}', 't', to_jsonb(i) FROM generate_series(1, ${1 + (turn % 3)}) i;
          INSERT INTO billing.events (kind, doc, tenant) VALUES ('b', '${turn}', '${writer}')`);
      }
    }),
  );
  for (let round = 0; round < 4; round += 1) {
    const daemon = outbox.start();
    await daemon.streaming();
    const length = await outbox.redis.xlen(outbox.stream('billing'));
    await waitFor(
      'twenty more events',
      async () => (await outbox.redis.xlen(outbox.stream('billing'))) >= length + 20,
    );
    await daemon.kill();
  }
  writers.abort();
  await writing;
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  for (const [stream, table, id] of [
    ['orders', 'orders_outbox', 'id'],
    ['billing', 'billing.events', 'event_id'],
  ] as const) {
    const rows = await outbox.query<{ id: string }>(`SELECT ${id}::text AS id FROM ${table}`);
    const entries = await entriesOf(outbox, stream, rows.length);
    expect(new Set(entries.map((entry) => entry['id']))).toEqual(new Set(rows.map((row) => row.id)));
    expect(entries.length).toBe(rows.length);
    const places = entries.map(({ lsn, seq }) => placeOf(lsn!, seq!));
    expect(places).toEqual(places.toSorted());
  }
}, 180_000);

function placeOf(lsn: string, seq: string): string {
  const [high = '', low = ''] = lsn.split('/');
  return [high.padStart(8, '0'), low.padStart(8, '0'), seq.padStart(8, '0')].join('');
}

test.each([true, false])(
  'rows of partitions, also of one made while the relay runs, are those of their table (via root: %s)',
  async (isViaRoot) => {
    await using outbox = await createOutbox({ isInitialized: false, env: { WALRELAY_COLUMN_TIME: 'none' } });
    await outbox.query(`
      CREATE TABLE outbox (id bigserial, aggregatetype text, aggregateid text, type text, payload text) PARTITION BY LIST (aggregateid);
      CREATE TABLE outbox_a PARTITION OF outbox FOR VALUES IN ('a');
      CREATE TABLE outbox_bc PARTITION OF outbox FOR VALUES IN ('b', 'c') PARTITION BY LIST (aggregateid);
      CREATE TABLE outbox_b PARTITION OF outbox_bc FOR VALUES IN ('b');
      CREATE TABLE other (id bigserial, aggregatetype text, aggregateid text, type text, payload text);
      CREATE PUBLICATION walrelay FOR TABLE outbox, other WITH (publish = 'insert', publish_via_partition_root = ${isViaRoot})`);
    await outbox.init();
    await outbox.start().streaming();
    const insert = (key: string) =>
      `INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '${key}', 't', 'p')`;
    await outbox.query(
      `BEGIN; ${insert('a')}; ${insert('b')}; INSERT INTO other (type) VALUES ('no event'); COMMIT`,
    );
    // Made and filled at once: no look at the catalog can have known it.
    await outbox.query(
      `BEGIN; CREATE TABLE outbox_c PARTITION OF outbox_bc FOR VALUES IN ('c'); ${insert('c')}; COMMIT`,
    );
    await outbox.query(insert('a'));
    const entries = await entriesOf(outbox, 'order', 4);
    expect(entries.map((entry) => entry['aggregate_id'])).toEqual(['a', 'b', 'c', 'a']);
    await outbox.waitUntilConfirmed();
  },
  120_000,
);

test('rows of a partition that was dropped before they were relayed are not passed over', async () => {
  await using outbox = await createOutbox({ isInitialized: false, env: { WALRELAY_COLUMN_TIME: 'none' } });
  await outbox.query(`
    CREATE TABLE outbox (id bigserial, aggregatetype text, aggregateid text, type text, payload text) PARTITION BY LIST (aggregateid);
    CREATE TABLE outbox_a PARTITION OF outbox FOR VALUES IN ('a');
    CREATE TABLE outbox_b PARTITION OF outbox FOR VALUES IN ('b');
    CREATE PUBLICATION walrelay FOR TABLE outbox WITH (publish = 'insert')`);
  await outbox.init();
  const insert = (key: string) =>
    outbox.query(
      "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', $1, 't', 'p')",
      [key],
    );
  await insert('a');
  await insert('b');
  await insert('a');
  await outbox.query('DROP TABLE outbox_b');
  const daemon = outbox.start();
  await waitFor('the relay to stop in front of it', async () => daemon.stderr.includes('PARTITION_UNKNOWN'));
  expect(await outbox.redis.xlen(outbox.stream())).toBeLessThan(2);
  await outbox.query("CREATE TABLE outbox_b PARTITION OF outbox FOR VALUES IN ('b')");
  const entries = await entriesOf(outbox, 'order', 3);
  expect(entries.map((entry) => entry['aggregate_id'])).toEqual(['a', 'b', 'a']);
  await outbox.waitUntilConfirmed();
}, 120_000);

test('routes send events to streams of their own, or nowhere; partitions keep an aggregate together and change when drained', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-mapping-')), 'walrelay.yaml');
  await using outbox = await createOutbox({
    isInitialized: false,
    // The stream comes from the file.
    env: { WALRELAY_CONFIG: path, WALRELAY_STREAM: '' },
  });
  const config = (partitions: number) => `
stream: ${outbox.name}.{\${partition}}
partitions: ${partitions}
staticFields: { from: shop }
routes:
  - when: { type: [noise, test], aggregatetype: order }
    drop: true
  - when: { type: urgent }
    stream: ${outbox.name}.urgent
    staticFields: { from: alarm, level: high }
`;
  writeFileSync(path, config(4));
  await outbox.init('--create-table');
  const daemon = outbox.start();
  await daemon.streaming();
  const insert = (type: string, key: string) =>
    outbox.query(
      "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', $1, $2, '{}')",
      [key, type],
    );
  for (const type of ['a', 'noise', 'b', 'urgent', 'test', 'c']) await insert(type, 'O-1');
  const partition = partitionOf(Buffer.from('O-1'), 0, 3, 4);
  const entries = await entriesOf(outbox, `{${partition}}`, 3);
  expect(entries.map(({ type, from }) => `${type} ${from}`)).toEqual(['a shop', 'b shop', 'c shop']);
  const [urgent] = await entriesOf(outbox, 'urgent', 1);
  expect(urgent).toMatchObject({ type: 'urgent', from: 'alarm', level: 'high' });
  await outbox.waitUntilConfirmed();
  await daemon.stop();
  const audit = await runCli(['audit', '--complete', '--json'], outbox.env);
  expect(JSON.parse(audit.stdout)).toMatchObject({ findings: { missing: 0, altered: 0 }, entries: 4 });

  // Not confirmed: held back by the replay window.
  const held = outbox.start({ WALRELAY_REPLAY_WINDOW_MS: '600000' });
  await held.streaming();
  await insert('d', 'O-1');
  await entriesOf(outbox, `{${partition}}`, 4);
  await held.stop();
  writeFileSync(path, config(5));
  const refused = await runCli(['run'], outbox.env);
  expect(refused.stderr + refused.stdout).toContain('ROUTING_CHANGED');
  expect(refused.exitCode).toBe(67);
  writeFileSync(path, config(4));
  const again = outbox.start();
  await again.streaming();
  await outbox.waitUntilConfirmed();
  await again.stop();
  writeFileSync(path, config(5));
  await outbox.start().streaming();
  await insert('e', 'O-2');
  await entriesOf(outbox, `{${partitionOf(Buffer.from('O-2'), 0, 3, 5)}}`, 1);
}, 120_000);

test('what an item of outboxes can not be is said with its place, and everything at once', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-mapping-')), 'walrelay.yaml');
  writeFileSync(
    path,
    `
outboxes:
  - table: a
    colunmId: x
  - table: public.a
    columnId: [x, x]
    fields: { lsn: x }
  - 7
`,
  );
  const result = await runCli(['run'], {
    WALRELAY_CONFIG: path,
    DATABASE_URL: 'postgres://nowhere/x',
    REDIS_URL: 'redis://nowhere',
  });
  for (const expected of [
    'outboxes[0].colunmId: unknown key; did you mean columnId?',
    'outboxes[1].columnId: got a list; expected a name of 1 to 63 bytes',
    'outboxes[1].fields: got a map; expected a map from entry fields to columns; lsn has a meaning of its own',
    'outboxes[2]: expected a map of settings',
  ])
    expect(result.stderr).toContain(expected);
});
