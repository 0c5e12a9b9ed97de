import { existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type CliResult, runCli } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';

interface Shown {
  readonly table: string;
  readonly preset: string | null;
  readonly score: number;
  readonly obstacle: string | null;
  readonly warnings: readonly string[];
  readonly mapping: Readonly<Record<string, unknown>>;
  readonly sample: {
    readonly entry: { readonly stream: string; readonly fields: Record<string, string> } | null;
    readonly madeUpBecause: string | null;
  };
}

async function withTables(sql: string): Promise<Outbox> {
  const outbox = await createOutbox({ isInitialized: false, env: { WALRELAY_STREAM: '' } });
  await outbox.query(sql);
  return outbox;
}

function temporary(): string {
  return join(mkdtempSync(join(tmpdir(), 'walrelay-detect-')), 'walrelay.yaml');
}

function detect(outbox: Outbox, ...args: string[]): Promise<CliResult> {
  return runCli(['init', '--detect', ...args], { DATABASE_URL: outbox.databaseUrl });
}

async function candidatesOf(outbox: Outbox, ...args: string[]): Promise<readonly Shown[]> {
  const result = await detect(outbox, '--json', '--output', '-', ...args);
  return (JSON.parse(result.stdout) as { candidates: Shown[] }).candidates;
}

const ODD = `
CREATE SCHEMA "Größe";
CREATE TABLE "Größe"."Ereignis Outbox" (
  "Event-Id" uuid PRIMARY KEY, "Entity Type" text, "Entity Id" bigint, "EventName" text NOT NULL, "Body" bytea,
  "TraceParent" text, "OccurredAt" timestamptz NOT NULL DEFAULT now(), "Sent" boolean DEFAULT false,
  "Upper" text GENERATED ALWAYS AS (upper("EventName")) STORED);
INSERT INTO "Größe"."Ereignis Outbox" ("Event-Id", "Entity Type", "Entity Id", "EventName", "Body")
  VALUES ('0a0a0a0a-0000-4000-8000-000000000001', 'Bestellung', 7, 'angelegt', 'ein Text');
CREATE TABLE audit_log (id bigserial PRIMARY KEY, type text, payload jsonb, created_at timestamptz DEFAULT now());
CREATE TABLE users (id bigserial PRIMARY KEY, name text, data jsonb, status text);
CREATE UNLOGGED TABLE outbox_unlogged (id bigserial PRIMARY KEY, aggregate_type text, payload jsonb, created_at timestamptz DEFAULT now());
CREATE TABLE inbox (id uuid PRIMARY KEY, aggregate_type text, aggregate_id text, event_type text, payload jsonb);
CREATE TABLE notes_outbox (id int, topic text, message text);
CREATE TABLE days_outbox (id bigserial, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (id, created_at))
  PARTITION BY RANGE (created_at);
CREATE TABLE days_outbox_rest PARTITION OF days_outbox DEFAULT`;

test('of a database with all sorts of tables those are shown that look like outboxes, the best first', async () => {
  await using outbox = await withTables(ODD);
  const candidates = await candidatesOf(outbox);
  const tables = candidates.map(({ table }) => table);
  expect(tables[0]).toBe('"Größe"."Ereignis Outbox"');
  expect(tables).toEqual(expect.arrayContaining(['public.days_outbox', 'public.notes_outbox']));
  expect(tables.at(-1)).toBe('public.outbox_unlogged');
  for (const other of ['public.audit_log', 'public.users', 'public.days_outbox_rest'])
    expect(tables).not.toContain(other);

  const [best] = candidates;
  expect(best).toMatchObject({
    preset: null,
    obstacle: null,
    mapping: {
      columnId: ['Event-Id'],
      columnAggregateType: 'Entity Type',
      columnAggregateId: 'Entity Id',
      columnType: 'EventName',
      columnPayload: 'Body',
      columnTime: 'OccurredAt',
      fields: { TraceParent: 'TraceParent' },
    },
    sample: {
      madeUpBecause: null,
      entry: {
        stream: 'outbox.Bestellung',
        fields: {
          id: '0a0a0a0a-0000-4000-8000-000000000001',
          aggregate_id: '7',
          type: 'angelegt',
          payload: 'ein Text',
        },
      },
    },
  });
  const said = (table: string) => candidates.find((one) => one.table === table)?.warnings.join('\n');
  expect(said(best!.table)).toContain('Sent: somebody seems to poll this table');
  expect(said(best!.table)).toContain('Upper is generated');
  expect(said('public.notes_outbox')).toContain('no primary key');
  expect(said('public.notes_outbox')).toContain('topic may be NULL');
  expect(candidates.at(-1)?.obstacle).toContain('SET LOGGED');
  expect(candidates.find(({ table }) => table === 'public.days_outbox')?.sample).toMatchObject({
    madeUpBecause: 'the table is empty',
    entry: { stream: 'days_outbox' },
  });
});

test('the file of an odd table loads as it is, and the relay goes by it', async () => {
  await using outbox = await withTables(ODD);
  const path = temporary();
  expect(await detect(outbox, '--output', path)).toMatchObject({ exitCode: 0, stderr: '' });
  const env = { ...outbox.env, WALRELAY_CONFIG: path };
  expect(await runCli(['init'], env)).toMatchObject({ exitCode: 0, stderr: '' });
  await outbox.start(env).streaming();
  await outbox.query(`INSERT INTO "Größe"."Ereignis Outbox" ("Event-Id", "Entity Type", "Entity Id", "EventName", "Body", "TraceParent")
    VALUES ('0a0a0a0a-0000-4000-8000-000000000002', '${outbox.name}', 8, 'bezahlt', '\\x00ff', '00-abc-01')`);
  const stream = `outbox.${outbox.name}`;
  await outbox.waitForLength(stream, 1);
  const [entry] = (await outbox.redis.callBuffer('XRANGE', stream, '-', '+')) as [Buffer, Buffer[]][];
  const texts = entry![1].map((part) => part.toString('latin1'));
  expect(texts.slice(0, 10).join(' ')).toBe(
    `id 0a0a0a0a-0000-4000-8000-000000000002 type bezahlt aggregate_type ${outbox.name} aggregate_id 8 payload \x00\xff`,
  );
  expect(texts).toContain('00-abc-01');
  await outbox.redis.del(stream);
}, 60_000);

test('what people read names the mapping and why, shows an entry on lines of its own, and says what comes next', async () => {
  await using outbox = await withTables(`
    CREATE TABLE outbox (id bigserial PRIMARY KEY, aggregate_id text, event_type text, payload text, processed_at timestamptz);
    INSERT INTO outbox (aggregate_id, event_type, payload) VALUES ('A', 'made', E'line 1\\nline 2\\t' || repeat('x', 200))`);
  const path = temporary();
  const { stdout, exitCode } = await detect(outbox, '--output', path);
  expect(exitCode).toBe(0);
  expect(stdout).toContain('1. public.outbox, preset outbox-processed-at');
  expect(stdout).toMatch(/^ +aggregate_id +aggregate_id \(text\)$/m);
  expect(stdout).toContain('entry     in outbox.events, made of a row of the table');
  expect(stdout).toMatch(/payload +line 1·line 2·x{106}… \(214 characters\)/);
  expect(stdout).toContain('Whoever polls the table now goes on');
  expect(stdout).toContain(`walrelay run --config ${path}`);
  expect(readFileSync(path, 'utf8')).toContain('preset: outbox-processed-at\ntable: public.outbox\n');
});

test('a file that is there is overwritten only with --force, and - is standard output', async () => {
  await using outbox = await withTables('CREATE TABLE outbox (id int PRIMARY KEY, payload jsonb)');
  const path = temporary();
  writeFileSync(path, 'mine');
  const refused = await detect(outbox, '--output', path);
  expect(refused.exitCode).toBe(78);
  expect(refused.stderr).toContain('--force');
  expect(readFileSync(path, 'utf8')).toBe('mine');
  expect(await detect(outbox, '--output', path, '--force')).toMatchObject({ exitCode: 0 });
  const piped = await detect(outbox, '--output', '-');
  expect(piped).toMatchObject({ exitCode: 0, stdout: readFileSync(path, 'utf8') });
  expect(piped.stderr).toContain('1. public.outbox');
});

test('--table pins a table whatever it looks like; what can’t be relayed, is not there or is nothing gets no file', async () => {
  await using outbox = await withTables(ODD);
  const path = temporary();
  const [pinned, ...others] = await candidatesOf(outbox, '--table', 'users');
  expect(others).toEqual([]);
  expect(pinned).toMatchObject({
    table: 'public.users',
    mapping: { columnPayload: 'data', columnType: 'name' },
  });
  for (const [args, exitCode, says] of [
    [['--table', 'outbox_unlogged'], 65, 'SET LOGGED'],
    [['--table', 'nowhere'], 65, 'there is no table public.nowhere'],
    [['--table', 'users', '--preset', 'cap'], 65, 'does not have the columns of the preset cap'],
    [['--stream', 'x'], 78, '--stream means nothing with --detect'],
    [['--where', 'true'], 78, '--where means something only with --snapshot'],
  ] as const) {
    const result = await detect(outbox, '--output', path, ...args);
    expect([args, result.exitCode, result.stderr]).toEqual([args, exitCode, expect.stringContaining(says)]);
  }
  expect(existsSync(path)).toBe(false);
  await outbox.query(
    'DROP TABLE users, audit_log, inbox, notes_outbox, days_outbox, outbox_unlogged; DROP SCHEMA "Größe" CASCADE',
  );
  const nothing = await detect(outbox, '--output', path);
  expect(nothing.exitCode).toBe(65);
  expect(nothing.stderr).toContain('no table of the database');
});

test('a row that would have no stream by the best guess sends all of them to one', async () => {
  await using outbox = await withTables(`
    CREATE TABLE outbox (id int PRIMARY KEY, topic text NOT NULL, payload jsonb);
    INSERT INTO outbox VALUES (1, 'two words', '{}')`);
  const [only] = await candidatesOf(outbox);
  expect(only).toMatchObject({ mapping: { stream: 'outbox' }, sample: { entry: { stream: 'outbox' } } });
  expect(only?.warnings.join('\n')).toContain('has no stream by outbox.${aggregatetype}');
});

test('a table that is locked, or that the role may not read, is proposed with a made-up entry', async () => {
  await using outbox = await withTables(`
    CREATE TABLE outbox (id int PRIMARY KEY, payload jsonb); INSERT INTO outbox VALUES (1, '{}')`);
  const locker = await outbox.pool.connect();
  try {
    await locker.query('BEGIN; LOCK TABLE outbox');
    const [locked] = await candidatesOf(outbox);
    expect(locked?.sample.madeUpBecause).toContain('no row of it could be read');
  } finally {
    await locker.query('ROLLBACK');
    locker.release();
  }
  const role = `${outbox.name}_reader`;
  await outbox.query(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`);
  try {
    const url = new URL(outbox.databaseUrl);
    [url.username, url.password] = [role, 'x'];
    const result = await runCli(['init', '--detect', '--json', '--output', '-'], { DATABASE_URL: url.href });
    const { candidates } = JSON.parse(result.stdout) as { candidates: Shown[] };
    expect(candidates[0]?.sample.madeUpBecause).toBe('this role may not read the table');
  } finally {
    await outbox.query(`DROP ROLE ${role}`);
  }
});

test('what a database without an encoding holds is shown as the bytes that it is', async () => {
  await using outbox = await createOutbox({ isInitialized: false, encoding: 'SQL_ASCII' });
  await outbox.query(`CREATE DOMAIN blob AS bytea; CREATE TABLE outbox (id int PRIMARY KEY, topic text, payload bytea, headers blob);
    INSERT INTO outbox VALUES (7, 'größe', 'Äpfel', 'x')`);
  const [only] = await candidatesOf(outbox);
  expect(only?.sample).toEqual({
    madeUpBecause: null,
    entry: {
      stream: 'outbox.größe',
      // A domain is text to a relay too.
      fields: { id: '7', aggregate_type: 'größe', payload: 'Äpfel', headers: '\\x78' },
    },
  });
});

test('the table that init --create-table makes is proposed as Walrelay’s own', async () => {
  await using outbox = await createOutbox();
  const [own] = await candidatesOf(outbox);
  expect(own).toMatchObject({
    table: 'public.outbox',
    preset: 'walrelay',
    score: 100,
    mapping: { columnTime: 'created_at', stream: 'outbox.${aggregatetype}' },
  });
});
