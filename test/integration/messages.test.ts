import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { type Env, runCli } from '../support/cli.ts';
import { letterKey, readLetters } from '../support/dead-letters.ts';
import {
  configFile,
  entriesOf,
  MESSAGES_ENV,
  MIXED_YAML,
  PREFIX,
  runEmitSql,
} from '../support/message-outbox.ts';
import { Outbox } from '../support/outbox.ts';
import { runSql } from '../support/run-sql.ts';
import { createOutbox } from '../support/servers.ts';
import { acceptEpoch, refusedCommand, refusedRun } from '../support/setup-refusal.ts';
import { Role } from '../support/setup-role.ts';
import { waitFor } from '../support/wait-for.ts';

/** Outboxes without a table: what is an event, what is none, and who may emit one. Under kills: test/chaos/messages.test.ts. */

/** An outbox of messages alone, set up as docs/messages.md says. */
async function messageOutbox(env: Env = {}): Promise<Outbox> {
  const outbox = await createOutbox({ isInitialized: false, env: { ...MESSAGES_ENV, ...env } });
  await runEmitSql(outbox);
  await outbox.init();
  return outbox;
}

const EMIT = `SELECT pg_logical_emit_message(true, '${PREFIX}', $1)`;

function event(id: string, more = ''): string {
  return `{"id":"${id}","aggregatetype":"order","aggregateid":"1","type":"t","payload":{}${more}}`;
}

describe.each([15, 16, 17, 18] as const)('on PostgreSQL %i', (majorVersion) => {
  let server: PostgresServer;

  beforeAll(async () => {
    server = await startPostgres({ majorVersion });
  });
  afterAll(async () => {
    await server.dispose();
  });

  test('messages and inserts of a transaction arrive in its order; what is rolled back, or another’s, never does', async () => {
    await using outbox = await Outbox.create({
      databaseUrl: server.url,
      redisUrl: inject('redisUrl'),
      isInitialized: false,
      env: configFile(MIXED_YAML),
    });
    await runEmitSql(outbox);
    await outbox.init('--create-table');
    const daemon = outbox.start();
    await daemon.streaming();
    const client = await outbox.pool.connect();
    const emit = (id: string) => client.query(EMIT, [event(id)]);
    const insert = (id: number) =>
      client.query(
        `INSERT INTO outbox VALUES ('00000000-0000-0000-0000-00000000000${id}', 'order', '1', 't', '{}')`,
      );
    await client.query('BEGIN');
    await emit('m0');
    await insert(1);
    await emit('m2');
    await client.query('SAVEPOINT s');
    await emit('rolled back');
    await insert(9);
    await client.query('ROLLBACK TO s');
    await client.query("SELECT pg_logical_emit_message(true, 'other', 'no JSON')");
    await client.query("SELECT pg_logical_emit_message(false, 'other', 'no JSON')");
    await insert(3);
    await emit('m4');
    await client.query('COMMIT');
    await client.query('BEGIN');
    await emit('rolled back too');
    await client.query('ROLLBACK');
    await emit('m5');
    client.release();
    await outbox.waitForLength(outbox.stream(), 6);
    await outbox.waitUntilConfirmed();
    expect((await entriesOf(outbox)).map(({ id, seq }) => `${id?.slice(-2)} ${seq}`)).toEqual([
      'm0 0',
      '01 1',
      'm2 2',
      '03 3',
      'm4 4',
      'm5 0',
    ]);
    expect(daemon.log.filter(({ level }) => level === 'error')).toEqual([]);
    expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
  });

  test('a message without a transaction is refused, and keeps nothing from passing; one that is too large neither', async () => {
    await using outbox = await Outbox.create({
      databaseUrl: server.url,
      redisUrl: inject('redisUrl'),
      isInitialized: false,
      env: {
        ...MESSAGES_ENV,
        WALRELAY_EVENT_BYTES_MAX: '64KiB',
        WALRELAY_BATCH_BYTES_MAX: '64KiB',
        WALRELAY_REDIS_PERSISTENCE: 'warn',
      },
    });
    await outbox.init();
    await outbox.query(EMIT, [event('before')]);
    await outbox.query(`SELECT pg_logical_emit_message(false, '${PREFIX}', $1)`, [event('forged')]);
    await outbox.query(`SELECT pg_logical_emit_message(false, '${PREFIX}', repeat('x', 300000))`);
    await outbox.query("SELECT pg_logical_emit_message(true, 'someone.else', repeat('x', 3000000))");
    await outbox.query("SELECT pg_logical_emit_message(false, 'someone.else', repeat('x', 3000000))");
    await outbox.query(EMIT, [event('after')]);
    const daemon = outbox.start();
    const said = await daemon.waitForLog('a message was refused');
    expect(said).toMatchObject({
      level: 'error',
      err: {
        code: 'MESSAGE_NOT_TRANSACTIONAL',
        hint: expect.stringContaining('pg_logical_emit_message(true') as string,
      },
    });
    await outbox.waitForLength(outbox.stream(), 2);
    await outbox.waitUntilConfirmed();
    expect((await entriesOf(outbox)).map(({ id }) => id)).toEqual(['before', 'after']);
    const metrics = await (await fetch(`${await daemon.httpUrl()}/metrics`)).text();
    expect(metrics).toMatch(/^walrelay_refused_messages_total 2$/m);
    expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
    // Confirmed past them, they don't come again.
    const again = outbox.start();
    await again.streaming();
    await outbox.query(EMIT, [event('last')]);
    await outbox.waitForLength(outbox.stream(), 3);
    expect(again.log.filter(({ msg }) => msg === 'a message was refused')).toEqual([]);
  });
});

describe('init, of messages alone', () => {
  test('makes a publication without tables, and says what it found; it may be repeated', async () => {
    await using outbox = await createOutbox({ isInitialized: false, env: MESSAGES_ENV });
    const first = await runCli(['init'], outbox.env);
    expect(first).toMatchObject({ exitCode: 0 });
    expect(first.stdout).toMatch(
      /^found {4}messages {5}with the prefix outbox\ncreated {2}publication {2}walrelay\ncreated {2}slot/,
    );
    expect(await outbox.query("SELECT FROM pg_publication_tables WHERE pubname = 'walrelay'")).toEqual([]);
    const again = await runCli(['init'], outbox.env);
    expect(again.stdout).toMatch(/^found[^]*found[^]*found[^]*found/);
    expect(again).toMatchObject({ exitCode: 0 });
    expect(await refusedCommand(['init', '--create-table'], outbox.env)).toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  test('--print-sql prints what does the same', async () => {
    await using outbox = await createOutbox({ isInitialized: false, env: MESSAGES_ENV });
    const printed = await runCli(['init', '--print-sql'], outbox.env);
    expect(printed.stdout).not.toContain('FOR TABLE');
    for (const statement of printed.stdout.split(/\n\n/)) await outbox.query(statement);
    await outbox.init();
    const daemon = outbox.start();
    await daemon.streaming();
    await outbox.query(EMIT, [event('a')]);
    await outbox.waitForLength(outbox.stream(), 1);
  });

  test('a database whose encoding the messages would come in is refused', async () => {
    await using outbox = await createOutbox({
      isInitialized: false,
      env: MESSAGES_ENV,
      encoding: 'LATIN1',
    });
    const refusal = await refusedCommand(['init'], outbox.env);
    expect(refusal).toMatchObject({ code: 'PG_ENCODING', exitCode: 65 });
    expect(refusal.message).toContain('LATIN1');
  });
});

describe('an event', () => {
  test('arrives byte for byte: a payload is what it was in the message, a text is its UTF-8', async () => {
    await using outbox = await messageOutbox({
      ...configFile('fields: { traceparent: traceparent, n: n }\n'),
    });
    const daemon = outbox.start();
    await daemon.streaming();
    const payload = '{ "b":1.0,\t"a" : [12345678901234567890, {"a":1,"a":2}],"é":"\\u00e9\\ud83d\\ude00" }';
    await outbox.query(EMIT, [
      `{"n":1e400,"id":"a\\u00e9\\n","aggregatetype":"order","aggregateid":null,"type":"t","payload": ${payload} ,"traceparent":"00-1"}`,
    ]);
    await outbox.query(EMIT, [event('b', ',"payload":"a \\"text\\" \\u20ac"')]);
    await outbox.query(EMIT, [event('c', ',"payload":null')]);
    await outbox.waitForLength(outbox.stream(), 3);
    const [a, b, c] = await entriesOf(outbox);
    expect(a).toMatchObject({
      id: 'aé\n',
      type: 't',
      aggregate_type: 'order',
      payload,
      traceparent: '00-1',
      n: '1e400',
    });
    expect(Object.keys(a!)).not.toContain('aggregate_id');
    expect(b!['payload']).toBe('a "text" €');
    expect(Object.keys(c!)).not.toContain('payload');
  });

  test('of many megabytes, and a transaction of many thousands, arrive whole with the memory that inserts have', async () => {
    await using outbox = await messageOutbox();
    const daemon = outbox.start({ WALRELAY_MEMORY_BUDGET_BYTES: '64MiB' });
    await daemon.streaming();
    await outbox.query(
      `SELECT pg_logical_emit_message(true, '${PREFIX}', '{"id":"large","aggregatetype":"order","aggregateid":"1","type":"t","payload":"' || repeat('é', 5000000) || '"}')`,
    );
    await outbox.query(
      `SELECT count(outbox.emit('bulk', n::text, 't', json_build_object('n', n, 'text', repeat('x', 2000)))) FROM generate_series(1, 50000) n`,
    );
    await outbox.waitForLength(outbox.stream(), 1);
    await outbox.waitForLength(outbox.stream('bulk'), 50_000, 60_000);
    const [large] = await entriesOf(outbox);
    expect(large!['payload']).toBe('é'.repeat(5_000_000));
    const bulk = await entriesOf(outbox, 'bulk');
    expect(bulk.map((entry) => `${entry['aggregate_id']} ${entry['seq']}`)).toEqual(
      bulk.map((_, n) => `${n + 1} ${n}`),
    );
    expect(new Set(bulk.map(({ lsn }) => lsn)).size).toBe(1);
    await outbox.waitUntilConfirmed();
  });

  test('goes where its route says, in the format that it says', async () => {
    await using outbox = await messageOutbox({
      ...configFile(
        'format: cloudevents-structured\nroutes:\n  - { when: { type: raw }, stream: "${aggregatetype}.raw", format: raw }\n  - { when: { type: no }, drop: true }\n',
      ),
    });
    const daemon = outbox.start({ WALRELAY_STREAM: `${outbox.name}.\${aggregatetype}` });
    await daemon.streaming();
    const at = `'${outbox.name}.x', '1'`;
    await outbox.query(
      `SELECT outbox.emit('order', '1', 'no', '{}'), outbox.emit('order', '7', 'made', '{"a": 1.0}')`,
    );
    await outbox.query(
      `SELECT outbox.emit('order', '8', 'made', '"a \\"text\\""'), outbox.emit(${at}, 'raw', '[ 1 ]')`,
    );
    await outbox.waitForLength(outbox.stream(), 2);
    await outbox.waitForLength(`${outbox.name}.x.raw`, 1);
    const [first, second] = await entriesOf(outbox);
    const [text] = Object.values(first!);
    expect(text).toContain('"data":{"a": 1.0}');
    expect(JSON.parse(text!)).toMatchObject({
      specversion: '1.0',
      type: 'made',
      subject: '7',
      source: '/outbox',
    });
    expect(JSON.parse(Object.values(second!)[0]!)).toMatchObject({ data: 'a "text"' });
    expect(await outbox.redis.xrange(`${outbox.name}.x.raw`, '-', '+')).toMatchObject([
      [expect.anything(), ['payload', '[ 1 ]']],
    ]);
  });
});

describe('a message that can’t be read', () => {
  const BROKEN = [
    '{"id":"x","aggregatetype":"order",',
    '[1]',
    '{"aggregatetype":"order","type":"t"}',
    '{"id":null}',
    '',
  ];

  test('halts the relay in front of it, and what was before it stands', async () => {
    await using outbox = await messageOutbox();
    await outbox.query(EMIT, [event('a')]);
    await outbox.query(EMIT, [BROKEN[0]]);
    await outbox.query(EMIT, [event('b')]);
    const result = await outbox.start().exited;
    expect(result.exitCode).toBe(68);
    expect(result.stderr).toContain('EVENT_MALFORMED');
    expect(result.stderr).not.toContain('aggregatetype\\"');
    expect((await entriesOf(outbox)).map(({ id }) => id)).toEqual(['a']);
  });

  test('becomes a dead letter, in its place and as it came, when these are on', async () => {
    await using outbox = await messageOutbox({ WALRELAY_POISON: 'dead-letter' });
    const client = await outbox.pool.connect();
    await client.query('BEGIN');
    for (const [n, content] of BROKEN.entries()) {
      await client.query(EMIT, [event(`e${n}`)]);
      await client.query(EMIT, [content]);
    }
    await client.query('COMMIT');
    client.release();
    const daemon = outbox.start();
    await outbox.waitForLength(outbox.stream(), BROKEN.length);
    await outbox.waitUntilConfirmed();
    const letters = await readLetters(outbox.redis, letterKey(outbox));
    expect(
      letters.map(({ reason, content, seq, message_prefix }) => [reason, content, seq, message_prefix]),
    ).toEqual(BROKEN.map((content, n) => ['EVENT_MALFORMED', content, String(2 * n + 1), PREFIX]));
    expect((await entriesOf(outbox)).map(({ id, seq }) => `${id} ${seq}`)).toEqual(
      BROKEN.map((_, n) => `e${n} ${2 * n}`),
    );
    await daemon.stop();
    const shown = await runCli(['dead-letters', 'show', letters[0]!.entryId, '--payload'], outbox.env);
    expect(shown.stdout).toContain('outbox     outbox (messages)');
    expect(shown.stdout).toContain(JSON.stringify(BROKEN[0]));
    const redriven = await runCli(['dead-letters', 'redrive', '--all'], outbox.env);
    expect(redriven.stdout + redriven.stderr).toContain('emit the event again');
    expect(await outbox.redis.xlen(letterKey(outbox))).toBe(BROKEN.length);
  });

  test('that only has no stream is redriven like any other event', async () => {
    await using outbox = await messageOutbox({ WALRELAY_POISON: 'dead-letter' });
    const daemon = outbox.start();
    await outbox.query(`SELECT outbox.emit(NULL, '1', 't', '{ "a": 1 }')`);
    await waitFor('the letter', async () => (await outbox.redis.xlen(letterKey(outbox))) === 1);
    await daemon.stop();
    const redriven = await runCli(
      ['dead-letters', 'redrive', '--all', '--to-stream', outbox.stream()],
      outbox.env,
    );
    expect(redriven).toMatchObject({ exitCode: 0 });
    expect((await entriesOf(outbox))[0]).toMatchObject({ payload: '{ "a": 1 }' });
  });
});

describe('who may emit', () => {
  test('is whoever was granted outbox.emit; a role that was not, and no role directly, can write an event', async () => {
    await using outbox = await messageOutbox();
    await using app = await Role.create(outbox, 'LOGIN');
    await using other = await Role.create(outbox, 'LOGIN');
    await outbox.query(`GRANT USAGE ON SCHEMA outbox TO ${app.name}`);
    await outbox.query(`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA outbox TO ${app.name}`);
    const daemon = outbox.start();
    await daemon.streaming();
    const id = '11111111-2222-3333-4444-555555555555';
    const [named] = await runSql<{ id: string }>(
      app.url,
      `SELECT outbox.emit('order', 'O-"1"', 'made', '{"a":  1}', id => '${id}', headers => '{"id": "no", "t": 1}') AS id`,
    );
    expect(named!.id).toBe(id);
    const [made] = await runSql<{ id: string }>(
      app.url,
      "SELECT outbox.emit('order', 'O-2', 'made', $1) AS id",
      ['[]'],
    );
    await runSql(app.url, "SELECT outbox.emit('order', 'O-3', 'made', '{\"a\":  1}'::json)");
    await runSql(app.url, "SELECT outbox.emit('order', 'O-4', 'made', '{\"a\":  1}'::jsonb)");
    await outbox.waitForLength(outbox.stream(), 4);
    expect((await entriesOf(outbox)).map((entry) => [entry['aggregate_id'], entry['payload']])).toEqual([
      ['O-"1"', '{"a":  1}'],
      ['O-2', '[]'],
      ['O-3', '{"a":  1}'],
      ['O-4', '{"a": 1}'],
    ]);
    expect((await entriesOf(outbox)).slice(0, 2).map((entry) => entry['id'])).toEqual([id, made!.id]);

    const denied = /permission denied/;
    for (const role of [app, other]) {
      for (const call of [
        `true, '${PREFIX}', 'x'`,
        `false, '${PREFIX}', 'x'`,
        `true, '${PREFIX}', '\\x00'::bytea`,
      ])
        await expect(runSql(role.url, `SELECT pg_logical_emit_message(${call})`)).rejects.toThrow(denied);
      await expect(runSql(role.url, 'SET ROLE outbox_emitter')).rejects.toThrow(denied);
    }
    await expect(runSql(other.url, "SELECT outbox.emit('order', '1', 't', '{}')")).rejects.toThrow(denied);
    await expect(
      runSql(app.url, "CREATE FUNCTION outbox.x() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ).rejects.toThrow(denied);
    for (const [args, why] of [
      ["'order', '1', 't', '{broken'", /invalid input syntax for type json/],
      ["'order', '1', 't', '{}', '[1]'", /headers is a JSON object/],
      ["'order', '1', 't', '{}', id => NULL", /an event needs an id/],
    ] as const)
      await expect(runSql(app.url, `SELECT outbox.emit(${args})`)).rejects.toThrow(why);
    expect(daemon.log.some(({ msg }) => msg.includes('forge events'))).toBe(false);
  });

  test('a search path of the caller’s own changes nothing', async () => {
    await using outbox = await messageOutbox();
    await using app = await Role.create(outbox, 'LOGIN');
    await outbox.query(`GRANT USAGE ON SCHEMA outbox TO ${app.name}`);
    await outbox.query(`GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA outbox TO ${app.name}`);
    await outbox.query(`CREATE SCHEMA own AUTHORIZATION ${app.name}`);
    await runSql(
      app.url,
      "CREATE FUNCTION own.pg_logical_emit_message(boolean, text, text) RETURNS pg_lsn LANGUAGE plpgsql AS $$ BEGIN RAISE 'as %', current_user; END $$",
    );
    await runSql(
      app.url,
      "CREATE FUNCTION own.to_json(text) RETURNS json LANGUAGE plpgsql AS $$ BEGIN RAISE 'as %', current_user; END $$",
    );
    await outbox.query(`ALTER ROLE ${app.name} SET search_path = own, pg_catalog, outbox`);
    const [made] = await runSql<{ id: string }>(app.url, "SELECT emit('order', '1', 't', '{}') AS id");
    const daemon = outbox.start();
    await daemon.streaming();
    await outbox.waitForLength(outbox.stream(), 1);
    expect((await entriesOf(outbox))[0]!['id']).toBe(made!.id);
    await outbox.query('DROP SCHEMA own CASCADE');
  });

  test('is said in the log where it is everybody', async () => {
    await using outbox = await createOutbox({ isInitialized: false, env: MESSAGES_ENV });
    await outbox.init();
    const daemon = outbox.start();
    await daemon.streaming();
    expect(
      daemon.log.filter(({ level, msg }) => level === 'warn' && msg.includes('forge events')),
    ).toHaveLength(1);
  });
});

describe('what there is no table for', () => {
  test.each([
    [['audit'], 'an audit compares a table with the streams'],
    [['replay', '--id', 'x', '--yes'], 'a replay reads events from the table'],
    [['explain', 'x'], 'explain looks for the row of the event'],
    [['poll'], 'polling reads the table'],
    [['recover'], 'a recovery publishes from a table'],
    [['init', '--snapshot'], 'a snapshot is of the rows of a table'],
  ])('%j is refused, with the reason', async (args, reason) => {
    await using outbox = await messageOutbox();
    const refusal = await refusedCommand(args, outbox.env);
    expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
    expect(refusal.message).toContain(reason);
  });

  test('a slot that is gone is told as a loss, and the way on begins behind it', async () => {
    await using outbox = await messageOutbox();
    const daemon = outbox.start();
    await outbox.query(EMIT, [event('a')]);
    await outbox.waitForLength(outbox.stream(), 1);
    await outbox.waitUntilConfirmed();
    await daemon.stop();
    await outbox.query(EMIT, [event('lost')]);
    await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
    expect(await refusedRun(outbox)).toMatchObject({
      code: 'SLOT_MISSING',
      hint: expect.stringContaining('no table holds it') as string,
    });
    expect((await refusedCommand(['init'], outbox.env)).hint).toContain('no table holds it');
    expect(await acceptEpoch(outbox)).toContain(
      'Messages of outbox that were committed before that creation and are not relayed are lost',
    );
    const again = outbox.start();
    await again.streaming();
    await outbox.query(EMIT, [event('b')]);
    await outbox.waitForLength(outbox.stream(), 2);
    expect((await entriesOf(outbox)).map(({ id }) => id)).toEqual(['a', 'b']);
  });
});

describe('beside a table', () => {
  test('messages that become events later, or no more, are a change that somebody has to accept', async () => {
    await using outbox = await createOutbox();
    const daemon = outbox.start();
    // Nobody asked for it: it does not even come.
    await outbox.query(EMIT, [event('too early')]);
    await outbox.insert();
    await outbox.waitForLength(outbox.stream(), 1);
    await outbox.waitUntilConfirmed();
    await daemon.stop();
    const mixed = configFile(MIXED_YAML);
    const refusal = await refusedRun(outbox, mixed);
    expect(refusal).toMatchObject({ code: 'PUBLICATION_CHANGED' });
    expect(refusal.message).toContain('new among the outboxes: messages with the prefix outbox');
    await acceptEpoch(outbox, mixed);
    const again = outbox.start(mixed);
    await again.streaming();
    await outbox.query(EMIT, [event('m')]);
    await outbox.waitForLength(outbox.stream(), 2);
    await outbox.waitUntilConfirmed();
    await again.stop();
    expect((await refusedRun(outbox)).message).toContain('no longer among the outboxes: messages');
  });

  test('an audit and a recovery are of the table, and say what they leave out', async () => {
    await using outbox = await createOutbox({ isInitialized: false, env: configFile(MIXED_YAML) });
    await outbox.init('--create-table');
    const daemon = outbox.start();
    await outbox.insert();
    await outbox.query(EMIT, [event('m')]);
    await outbox.waitForLength(outbox.stream(), 2);
    await outbox.waitUntilConfirmed();
    await daemon.stop();
    const audited = await runCli(['audit', '--wait', '30', '--outbox', 'public.outbox'], outbox.env);
    expect(audited.stderr).not.toContain('not audited');
    await outbox.insert();
    await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
    const recovered = await runCli(['recover', '--yes'], outbox.env);
    expect(recovered).toMatchObject({ exitCode: 0 });
    expect(recovered.stdout).toContain('Messages of messages that were not relayed are lost with the WAL');
    expect(await outbox.redis.xlen(outbox.stream())).toBe(3);
  });
});
