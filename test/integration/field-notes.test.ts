import { Client } from 'pg';
import { expect, inject, test } from 'vitest';
import { startPostgres } from '../../dev/servers/postgres.ts';
import { CopyIn } from '../support/chaos-copy-in.ts';
import { runCli } from '../support/cli.ts';
import { expectExact, Oracle, readEntries } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/**
 * What Postgres, Redis and the libraries really do, one trap a test. (Others have tests where they belong: adjacent
 * commits in poison, keepalives in relay, the resent confirmed in postgres-crash, cut pipelines in redis-crash.)
 */

test('rows of one COPY share an LSN and still are events of their own, in their order', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await outbox.start().streaming();
  const rows = Array.from({ length: 100 }, (_, index) => `order\t${index}\tt\t{}\n`).join('');
  const client = await outbox.pool.connect();
  await new CopyIn('COPY outbox (aggregatetype, aggregateid, type, payload) FROM STDIN', rows).run(client);
  client.release();
  await outbox.waitForLength(outbox.stream(), 100);
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(new Set(entries.map((entry) => entry.lsn)).size).toBe(1);
  expect(entries.map((entry) => entry.seq)).toEqual(entries.map((_, index) => String(index)));
  await expectExact(outbox, oracle);
});

test('the order of a serial column is not the order of commits', async () => {
  await using outbox = await createOutbox({ isInitialized: false });
  await outbox.query(
    'CREATE TABLE outbox (id bigserial PRIMARY KEY, aggregatetype text, aggregateid text, type text, payload text)',
  );
  await outbox.init();
  await outbox.start().streaming();
  const [first, second] = [await outbox.pool.connect(), await outbox.pool.connect()];
  const insert =
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 't', '{}')";
  await first.query('BEGIN');
  await first.query(insert);
  await second.query(insert);
  await first.query('COMMIT');
  first.release();
  second.release();
  await outbox.waitForLength(outbox.stream(), 2);
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(entries.map((entry) => entry.id)).toEqual(['2', '1']);
});

test('an INSERT … ON CONFLICT DO UPDATE is an event only when it inserts', async () => {
  await using outbox = await createOutbox();
  await outbox.start().streaming();
  const id = await outbox.insert();
  await outbox.query(
    `INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload) VALUES ($1, 'order', '1', 'again', '{}')
     ON CONFLICT (id) DO UPDATE SET type = 'updated'`,
    [id],
  );
  await outbox.waitUntilConfirmed();
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
});

test('messages of pg_logical_emit_message are not asked for, and disturb nothing', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await outbox.start().streaming();
  await outbox.query("SELECT pg_logical_emit_message(false, 'walrelay', 'not transactional')");
  await outbox.query("SELECT pg_logical_emit_message(true, 'walrelay', 'transactional')");
  await outbox.insert();
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(1);
});

test('a prepared transaction arrives where it was committed, not where it was prepared', async () => {
  await using postgres = await startPostgres({ settings: { max_prepared_transactions: '5' } });
  await using outbox = await createOutbox({ databaseUrl: postgres.url });
  const oracle = await Oracle.create(outbox);
  await outbox.start().streaming();
  const client = await outbox.pool.connect();
  await client.query('BEGIN');
  await client.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', 'prepared', 't', '{}')",
  );
  await client.query("PREPARE TRANSACTION 'p'");
  client.release();
  await outbox.insert({ aggregateId: 'between' });
  await outbox.waitForLength(outbox.stream(), 1);
  await outbox.query("COMMIT PREPARED 'p'");
  await outbox.waitForLength(outbox.stream(), 2);
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(entries.map((entry) => entry.aggregateId)).toEqual(['between', 'prepared']);
  await expectExact(outbox, oracle);
});

test('a database of the encoding SQL_ASCII may hold anything: its bytes arrive as they are', async () => {
  await using outbox = await createOutbox();
  const name = `${outbox.name}_ascii`;
  await outbox.query(`CREATE DATABASE ${name} ENCODING 'SQL_ASCII' TEMPLATE template0`);
  const url = new URL(inject('databaseUrl'));
  url.pathname = `/${name}`;
  const env = {
    ...outbox.env,
    DATABASE_URL: url.href,
    WALRELAY_SLOT: name,
    WALRELAY_META_KEY: `${outbox.name}.ascii-lane`,
  };
  const client = new Client({ connectionString: url.href });
  await client.connect();
  await client.query(
    'CREATE TABLE outbox (id text, aggregatetype text, aggregateid text, type text, payload text)',
  );
  expect(await runCli(['init'], env)).toMatchObject({ exitCode: 0 });
  const daemon = outbox.start(env);
  await daemon.streaming();
  await client.query(`INSERT INTO outbox VALUES ('1', 'order', '1', 't', E'caf\\xe9 \\xff\\xfe')`);
  await outbox.waitForLength(outbox.stream(), 1);
  const reply = (await outbox.redis.callBuffer('XRANGE', outbox.stream(), '-', '+')) as [[Buffer, Buffer[]]];
  const fields = reply[0][1];
  const payload = fields[fields.findIndex((field) => field.toString() === 'payload') + 1];
  expect(payload?.toString('hex')).toBe(Buffer.from('caf\xe9 \xff\xfe', 'latin1').toString('hex'));
  await daemon.stop();
  await client.query('SELECT pg_drop_replication_slot($1)', [name]);
  await client.end();
  await outbox.query(`DROP DATABASE ${name} WITH (FORCE)`);
});

test('a table renamed under load loses nothing: the relay goes on with it, and asks for the new name at its next start', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.insert();
  await outbox.query('ALTER TABLE outbox RENAME TO outbox_old');
  await outbox.query(
    "INSERT INTO outbox_old (aggregatetype, aggregateid, type, payload) VALUES ('order', 'renamed', 't', '{}')",
  );
  await outbox.waitForLength(outbox.stream(), 2);
  await outbox.waitUntilConfirmed();
  expect((await daemon.stop()).exitCode).toBe(0);
  const refused = await outbox.start().exited;
  expect(refused.exitCode).toBe(65);
  expect(refused.stderr).toContain('TABLE_MISSING');
  expect(refused.stderr).toContain('outbox_old');
  await outbox.query('ALTER TABLE outbox_old RENAME TO outbox');
  await outbox.insert();
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  expect(entries.map((entry) => entry.aggregateId)).toEqual(['1', 'renamed', '1']);
});

test('a Redis that went back by a few entries is refilled from the slot, each missing entry once', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  // Nothing is confirmed in the meantime, as within a replay window.
  const daemon = outbox.start({ WALRELAY_WATCH_INTERVAL_MS: '600000' });
  await daemon.streaming();
  for (let count = 0; count < 5; count += 1) await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 5);
  const watermarkOfTwo = await watermarkAt(outbox, 1);
  const lost = (await outbox.redis.xrange(outbox.stream(), '-', '+')).slice(2).map(([entryId]) => entryId);
  await outbox.redis
    .multi()
    .xdel(outbox.stream(), ...lost)
    .hset(outbox.metaKey, 'watermark', watermarkOfTwo)
    .exec();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 6);
  expect(daemon.log.some((line) => line.err?.code === 'CHAIN_GAP')).toBe(true);
  expect(await expectExact(outbox, oracle)).toBe(6);
});

async function watermarkAt(outbox: Awaited<ReturnType<typeof createOutbox>>, index: number): Promise<string> {
  const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
  const [high = '', low = ''] = (entries[index]?.lsn ?? '').split('/');
  return (
    high.padStart(8, '0') +
    low.padStart(8, '0') +
    Number(entries[index]?.seq).toString(16).padStart(12, '0').toUpperCase()
  );
}

test('a session whose fence was raised by another one writes nothing more and exits', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitUntilConfirmed();
  await outbox.redis.hincrby(outbox.metaKey, 'fence', 1);
  await outbox.insert();
  const result = await daemon.exited;
  expect(result.exitCode).toBe(75);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(2);
});

test('a session whose epoch was replaced writes nothing more and exits', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.redis.hincrby(outbox.metaKey, 'epoch', 1);
  await outbox.insert();
  expect((await daemon.exited).exitCode).toBe(67);
  expect(await outbox.redis.exists(outbox.stream())).toBe(0);
});

test('scripts flushed, streams trimmed, deleted or written to by others change nothing about what follows', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await outbox.redis.xtrim(outbox.stream(), 'MAXLEN', 0);
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await outbox.redis.del(outbox.stream());
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await outbox.redis.xadd(outbox.stream(), '*', 'foreign', 'entry');
  await outbox.redis.script('FLUSH');
  const last = await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 3);
  const [[, fields] = ['', []]] = await outbox.redis.xrevrange(outbox.stream(), '+', '-', 'COUNT', 1);
  expect(fields[1]).toBe(last);
  await outbox.waitUntilConfirmed();
});

test('a reconnect starts from the slot: what was received and not accepted comes again', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  for (let round = 0; round < 5; round += 1) {
    const since = daemon.log.length;
    await outbox.query(
      `INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT 'order', i::text, 't', '{}' FROM generate_series(1, 3000) i`,
    );
    await outbox.redis.call('CLIENT', 'KILL', 'TYPE', 'NORMAL', 'SKIPME', 'YES');
    await waitFor('a new session', () => daemon.log.slice(since).some((line) => line.msg === 'streaming'));
  }
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(15_000);
});
