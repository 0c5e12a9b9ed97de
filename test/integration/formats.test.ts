import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ValueKind } from '../../src/core/entry-shape.ts';
import type { OutboxMapping } from '../../src/core/outbox-mapping.ts';
import { compileOutbox } from '../../src/route/outbox.ts';
import { audit } from '../support/audit-cli.ts';
import { AWKWARD_ROWS } from '../support/awkward-rows.ts';
import { type Env, runCli } from '../support/cli.ts';
import { relayedEntry, republishedEntry } from '../support/composed-entry.ts';
import { NATIVE_OUTBOX } from '../support/native-outbox.ts';
import type { Outbox } from '../support/outbox.ts';
import { startPolling } from '../support/polled-outbox.ts';
import { dropSlot, recovered, relayAll } from '../support/recovered.ts';
import { createOutbox } from '../support/servers.ts';
import { refusedCommand } from '../support/setup-refusal.ts';
import { snapshotted } from '../support/snapshotted.ts';

/** What stands in Redis in each format, whoever wrote it, and who reads it back. Golden entries: test/unit/route. */

type Fields = Readonly<Record<string, string>>;

/** A file's settings for an outbox with a column `traceparent`. */
async function formatted(yaml: string, env: Env = {}): Promise<Outbox> {
  const path = join(mkdtempSync(join(tmpdir(), 'walrelay-formats-')), 'walrelay.yaml');
  writeFileSync(path, yaml);
  const outbox = await createOutbox({ isInitialized: false, env: { WALRELAY_CONFIG: path, ...env } });
  await outbox.query(`CREATE TABLE outbox (position bigint GENERATED ALWAYS AS IDENTITY UNIQUE, id text PRIMARY KEY,
    aggregatetype text NOT NULL DEFAULT 'order', aggregateid text, type text, payload json, traceparent text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
  return outbox;
}

const TRACED = 'fields: { traceparent: traceparent }';

/** The fields of a stream's entries, as latin1: one character a byte. */
async function entriesOf(outbox: Outbox): Promise<Fields[]> {
  const reply = (await outbox.redis.callBuffer('XRANGE', outbox.stream(), '-', '+')) as [Buffer, Buffer[]][];
  return reply.map(([, list]) =>
    Object.fromEntries(
      list.flatMap((name, at) =>
        at % 2 === 0 ? [[name.toString('latin1'), list[at + 1]!.toString('latin1')]] : [],
      ),
    ),
  );
}

/** What is about the run, not the row: times and positions. */
function timeless(entries: readonly Fields[]): Fields[] {
  return entries
    .map((fields) =>
      Object.fromEntries(
        Object.entries(fields).map(([name, value]) => [
          name,
          value
            .replaceAll(/\b[\dA-F]+\/[\dA-F]{3,}\b/g, 'LSN')
            .replaceAll(/\b\d{4}-\d\d-\d\dT[\d:]+\.\d{3,6}Z/g, 'TIME')
            .replace(/"seq":"\d+"/, '"seq":"SEQ"'),
        ]),
      ),
    )
    .map((fields) => ({
      ...fields,
      ...(fields['seq'] === undefined ? {} : { seq: 'SEQ' }),
      ...(fields['ce_seq'] === undefined ? {} : { ce_seq: 'SEQ' }),
    }));
}

/** Inserts the awkward rows whose payload a column of this type can hold; returns them as the relay has them. */
async function insertRows(outbox: Outbox, kind: ValueKind): Promise<(typeof AWKWARD_ROWS)[string][]> {
  const rows = Object.values(AWKWARD_ROWS).filter((row) => row['payload']!.kind === kind);
  const added = [];
  for (const [n, row] of rows.entries()) {
    const id = Buffer.from(`${kind} ${n} ${row['id']!.bytes!.toString()}`);
    const named = { ...row, id: { bytes: id, kind: 'text' as const } };
    const text = (name: string) => named[name as keyof typeof named]?.bytes?.toString() ?? null;
    const { bytes } = row['payload']!;
    await outbox.query(
      `INSERT INTO outbox (id, aggregateid, type, traceparent, payload) VALUES ($1, $2, $3, $4, $5)`,
      [
        id.toString(),
        text('aggregateid'),
        text('type'),
        text('traceparent'),
        kind === 'bytes' ? bytes : (bytes?.toString() ?? null),
      ],
    );
    added.push(named);
  }
  return added;
}

const FORMATS: readonly { yaml: string; mapping: Partial<OutboxMapping> }[] = [
  { yaml: 'format: cloudevents-structured', mapping: { format: 'cloudevents-structured' } },
  {
    yaml: 'format: cloudevents-binary\ncloudEventsSource: urn:shop',
    mapping: { format: 'cloudevents-binary', cloudEventsSource: 'urn:shop' },
  },
  { yaml: 'format: debezium', mapping: { format: 'debezium' } },
  {
    yaml: 'format: debezium\ndebeziumConverter: expanded-json',
    mapping: { format: 'debezium', debeziumConverter: 'expanded-json' },
  },
];

function compiled(mapping: Partial<OutboxMapping>) {
  return compileOutbox(
    { ...NATIVE_OUTBOX.mapping, fields: { traceparent: 'traceparent' }, ...mapping },
    { metaKey: 'walrelay:walrelay', deadLetterStream: 'walrelay:walrelay:dead-letters' },
  );
}

test.each(FORMATS)(
  '$yaml: each type of payload as it was when the row was inserted; audited, repaired, replayed, recovered',
  async ({ yaml, mapping }) => {
    await using outbox = await formatted(`${yaml}\n${TRACED}`);
    const shape = compiled(mapping);
    await outbox.init();
    const rows = await insertRows(outbox, 'json');
    await outbox.query('ALTER TABLE outbox ALTER payload TYPE text');
    rows.push(...(await insertRows(outbox, 'text')));
    await outbox.query(`ALTER TABLE outbox ALTER payload TYPE bytea USING convert_to(payload, 'UTF8')`);
    rows.push(...(await insertRows(outbox, 'bytes')));
    const relay = outbox.start();
    await relay.streaming();
    await outbox.waitUntilConfirmed();
    const latin1 = (entry: ReturnType<typeof relayedEntry>) =>
      Object.fromEntries(entry.map(([name, value]) => [name, value.toString('latin1')]));
    const relayed = await entriesOf(outbox);
    expect(timeless(relayed)).toEqual(timeless(rows.map((row) => latin1(relayedEntry(shape, row)))));

    // Only the rows of the last type say today what they said then.
    const old = rows.filter((row) => row['payload']!.kind !== 'bytes').length;
    await outbox.query(`DELETE FROM outbox WHERE id NOT LIKE 'bytes %'`);
    const [first, gone] = (await outbox.redis.xrange(outbox.stream(), '-', '+'))
      .slice(old)
      .map(([id]) => id) as [string, string];
    const whole = await audit(outbox, ['--complete']);
    expect(whole.report).toMatchObject({
      rows: 2,
      entries: rows.length,
      findings: { missing: 0, altered: 0, duplicated: 0, misordered: 0 },
      notes: { withoutRow: old },
    });
    expect(whole.exitCode).toBe(0);
    await outbox.redis.xdel(outbox.stream(), gone);
    const repaired = await audit(outbox, ['--complete', '--repair', '--yes']);
    expect(repaired.report).toMatchObject({ findings: { missing: 1 }, repair: { recovered: 1 } });
    const id = (row: (typeof rows)[number]) => row['id']!.bytes!.toString();
    const [kept, lost] = rows.slice(old) as [(typeof rows)[number], (typeof rows)[number]];
    const again = (row: (typeof rows)[number], mark: string) => ({
      ...latin1(republishedEntry(shape, row)),
      [mark]: 'TIME',
    });
    expect(timeless(await entriesOf(outbox)).at(-1)).toEqual(again(lost, 'recovered_at'));

    const explained = await runCli(['explain', id(kept), '--json'], outbox.env);
    expect(JSON.parse(explained.stdout)).toMatchObject({
      entries: [
        { entryId: first, position: expect.stringMatching(/ #\d$/), committedAt: expect.any(String) },
      ],
    });
    expect(await runCli(['replay', '--id', id(kept), '--yes'], outbox.env)).toMatchObject({ exitCode: 0 });
    expect(timeless(await entriesOf(outbox)).at(-1)).toEqual(again(kept, 'replayed_at'));

    expect(await relay.stop()).toMatchObject({ exitCode: 0 });
    await dropSlot(outbox);
    await outbox.query(`INSERT INTO outbox (id, type, payload) VALUES ('late', 't', '\\x01')`);
    // Its ids and commit times tell that all but the last row stand there.
    expect(await recovered(outbox)).toMatchObject({ rows: 3, missing: 1, published: 1 });
    expect(timeless(await entriesOf(outbox)).at(-1)).toMatchObject({ recovered_at: 'TIME' });
    const stands = await outbox.redis.xrange(outbox.stream(), '-', '+');
    for (const [entryId] of stands.slice(-3)) await outbox.redis.xdel(outbox.stream(), entryId);
    await dropSlot(outbox);
    // The one that was replayed stands there as it was relayed.
    expect(await recovered(outbox, ['--since', '2000-01-01'])).toMatchObject({ missing: 2, published: 2 });
    expect(timeless(await entriesOf(outbox)).at(-2)).toEqual(again(lost, 'recovered_at'));
  },
  180_000,
);

test.each([...FORMATS, { yaml: 'format: raw', mapping: { format: 'raw' as const, fields: {} } }])(
  '$yaml: polled entries are those of a replay',
  async ({ yaml, mapping }) => {
    const fields = mapping.format === 'raw' ? '' : TRACED;
    await using outbox = await formatted(`${yaml}\n${fields}`, { WALRELAY_POLL_ORDER_COLUMN: 'position' });
    const rows = await insertRows(outbox, 'json');
    await startPolling(outbox);
    await outbox.waitForLength(outbox.stream(), rows.length);
    const expected = rows.map((row) =>
      Object.fromEntries(
        republishedEntry(compiled(mapping), row).map(([name, value]) => [name, value.toString('latin1')]),
      ),
    );
    expect(await entriesOf(outbox)).toEqual(expected);
  },
  120_000,
);

test.each(FORMATS)(
  '$yaml: a snapshot publishes what is there once',
  async ({ yaml }) => {
    await using outbox = await formatted(`${yaml}\n${TRACED}`);
    const rows = await insertRows(outbox, 'json');
    const options = ['--order-by', 'position'];
    const { tables } = await snapshotted(outbox, [...options, '--dry-run']);
    const report = await snapshotted(outbox, options);
    expect(report).toMatchObject({ published: rows.length });
    const [entry] = await entriesOf(outbox);
    const marked = { ...tables[0]!.sample!.fields, snapshot_at: '2026-11-21T00:00:00.000Z' };
    expect(timeless([entry!])).toEqual(timeless([marked]));
    expect(await outbox.redis.xlen(outbox.stream())).toBe(rows.length);
    await dropSlot(outbox);
    expect(await recovered(outbox, options)).toMatchObject({ entries: rows.length, published: 0 });
  },
  120_000,
);

test.each([
  ['raw', 'rawField: body', 'body', ['', '{}', '']],
  ['debezium-compact', '', null, ['default', '{}', 'default']],
] as const)(
  '%s: one field and never another; what looks for ids refuses',
  async (format, more, field, values) => {
    await using outbox = await formatted(`format: ${format}\n${more}`);
    const refuses = async (...args: string[]) => {
      const { code, message, hint } = await refusedCommand(args, outbox.env);
      expect({ args, code, message }).toEqual({
        args,
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(`are ${format}, and so do not tell which event they are`),
      });
      expect(hint).toContain('docs/formats.md');
    };
    await refuses('init', '--snapshot');
    await outbox.init();
    await outbox.query(
      `INSERT INTO outbox (id, aggregateid, type, payload) VALUES ('1', 'O-1', 't', NULL), ('2', NULL, 't', '{}')`,
    );
    await relayAll(outbox);
    const replayed = await runCli(['replay', '--id', '1', '--yes'], outbox.env);
    expect(replayed).toMatchObject({ exitCode: 0 });
    const names = field === null ? ['O-1', 'default', 'O-1'] : [field, field, field];
    expect(await entriesOf(outbox)).toEqual(values.map((value, n) => ({ [names[n]!]: value })));
    await refuses('audit');
    await refuses('explain', '1');
    await dropSlot(outbox);
    await refuses('recover', '--yes');
    expect(await outbox.redis.xlen(outbox.stream())).toBe(3);
  },
  120_000,
);

test('a route has a format of its own, and a relay of both appends each in its shape', async () => {
  await using outbox = await formatted(
    'format: cloudevents-structured\nroutes:\n  - when: { type: plain }\n    format: native',
  );
  await outbox.init();
  await outbox.query(
    `INSERT INTO outbox (id, aggregateid, type, payload) VALUES ('1', 'a', 'event', '{}'), ('2', 'a', 'plain', '[]'), ('3', 'a', 'event', NULL)`,
  );
  await relayAll(outbox);
  const entries = await entriesOf(outbox);
  expect(entries.map((fields) => Object.keys(fields).length)).toEqual([1, 8, 1]);
  expect(entries[1]).toMatchObject({ id: '2', payload: '[]', seq: '1' });
  expect(JSON.parse(entries[2]!['data']!)).toMatchObject({ id: '3', seq: '2' });
  expect(await refusedCommand(['audit'], outbox.env)).toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('several formats (native, cloudevents-structured)'),
  });
}, 120_000);

test('the relay stops in front of a row without a type where its entry would be a CloudEvent', async () => {
  await using outbox = await formatted('format: cloudevents-binary');
  await outbox.init();
  await outbox.query(
    `INSERT INTO outbox (id, aggregateid, type, payload) VALUES ('1', 'a', 'event', '{}'), ('2', 'a', NULL, '{}')`,
  );
  const relay = outbox.start();
  expect(await relay.exited).toMatchObject({
    exitCode: 68,
    stderr: expect.stringContaining('EVENT_INCOMPLETE'),
  });
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
}, 120_000);
