import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import type { Daemon } from '../support/cli.ts';
import { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { expectNoSecrets, refusalOf } from '../support/setup-refusal.ts';
import { waitFor } from '../support/wait-for.ts';

let postgres: PostgresServer;
let redis: RedisServer;

beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
});
afterAll(async () => {
  await Promise.all([postgres.dispose(), redis.dispose()]);
});

/** On servers of this file's own, which may be ended. */
const createFragileOutbox = () => Outbox.create({ databaseUrl: postgres.url, redisUrl: redis.url });

interface Answer {
  readonly status: number;
  readonly text: string;
}

async function get(daemon: Daemon, path: string): Promise<Answer> {
  const response = await fetch(`${await daemon.httpUrl()}${path}`);
  return { status: response.status, text: await response.text() };
}

async function untilReady(daemon: Daemon, isReady: boolean): Promise<Answer> {
  return waitFor(`/readyz to say ${isReady ? 200 : 503}`, async () => {
    const answer = await get(daemon, '/readyz');
    return (answer.status === 200) === isReady ? answer : null;
  });
}

/** The value of each sample without labels, and of each with, by its whole name. */
async function metrics(daemon: Daemon): Promise<Map<string, number>> {
  const { text } = await get(daemon, '/metrics');
  const samples = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    samples.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

test('a relay is ready while it streams; a standby is alive but not ready until it has taken over', async () => {
  await using outbox = await createOutbox();
  const active = outbox.start();
  await active.streaming();
  const standby = outbox.start();
  await standby.waitForLog('standing by: another relay holds the slot');
  expect(await get(active, '/readyz')).toMatchObject({ status: 200 });
  const answer = await get(standby, '/readyz');
  expect(answer.status).toBe(503);
  expect(JSON.parse(answer.text)).toMatchObject({ phase: 'standby', isStreaming: false });
  expect(await get(standby, '/livez')).toMatchObject({ status: 200 });
  await active.stop();
  await untilReady(standby, true);
});

test('a relay is alive but not ready while Redis or Postgres is away, and says why', async () => {
  await using outbox = await createFragileOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await untilReady(daemon, true);

  await redis.kill();
  await untilReady(daemon, false);
  const withoutRedis = await waitFor('the reason', async () => {
    const { text } = await get(daemon, '/readyz');
    return text.includes('REDIS_') ? text : null;
  });
  expect(JSON.parse(withoutRedis)).toMatchObject({ isStreaming: false });
  expect(await get(daemon, '/livez')).toMatchObject({ status: 200 });
  await redis.start();
  await untilReady(daemon, true);

  await postgres.stop('immediate');
  await untilReady(daemon, false);
  expect(await get(daemon, '/livez')).toMatchObject({ status: 200 });
  await postgres.start();
  await untilReady(daemon, true);
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
});

test('the metrics have their documented names, and move with the events', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.query(`INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
    SELECT 'order', '1', 't', '{}' FROM generate_series(1, 25)`);
  await outbox.waitForLength(outbox.stream(), 25);
  await outbox.waitUntilConfirmed();
  const after = await waitFor('the metrics to follow', async () => {
    const values = await metrics(daemon);
    return values.get('walrelay_events_total') === 25 && values.has('walrelay_slot_retained_bytes')
      ? values
      : null;
  });
  expect(Object.fromEntries(after)).toMatchObject({
    walrelay_transactions_total: 1,
    walrelay_sessions_total: 1,
    walrelay_resent_events_total: 0,
    walrelay_paused: 0,
    'walrelay_phase{phase="streaming"}': 1,
    'walrelay_phase{phase="standby"}': 0,
    walrelay_append_duration_seconds_count: after.get('walrelay_batches_total'),
    walrelay_commit_to_stream_seconds_count: after.get('walrelay_batches_total'),
  });
  const documented = [
    'walrelay_append_bytes_total',
    'walrelay_in_flight_batches',
    'walrelay_held_bytes',
    'walrelay_received_lsn_bytes',
    'walrelay_confirmed_lsn_bytes',
    'walrelay_lag_bytes',
    'walrelay_last_event_timestamp_seconds',
    'walrelay_process_resident_memory_bytes',
  ];
  expect(documented.filter((name) => !after.has(name))).toEqual([]);
  expect([...after.keys()].some((name) => name.startsWith('walrelay_build_info{version="'))).toBe(true);

  const terminate = 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1';
  await outbox.query(terminate, [outbox.name]);
  await waitFor('the lost session to be counted', async () => {
    const values = await metrics(daemon);
    const errors = [...values.keys()].filter((name) =>
      name.startsWith('walrelay_session_errors_total{code="PG_'),
    );
    return errors.length === 1 && values.get('walrelay_sessions_total') === 2;
  });
});

test('only this machine is answered unless the operator opens the port', async ({ skip }) => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  const url = new URL(await daemon.httpUrl());
  expect(url.hostname).toBe('127.0.0.1');
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal);
  if (outside === undefined) return skip('this machine has only the loopback address');
  expect(await canConnect(outside.address, Number(url.port))).toBe(false);

  const open = outbox.start({ WALRELAY_HTTP_HOST: '0.0.0.0' });
  const { port } = new URL(await open.httpUrl());
  expect(await canConnect(outside.address, Number(port))).toBe(true);
});

test('a port that is in use is named, with the setting to change; off starts no server', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start();
  const { port } = new URL(await daemon.httpUrl());
  const second = await outbox.start({ WALRELAY_HTTP_PORT: port }).exited;
  const refusal = refusalOf(second, outbox.env);
  expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
  expect(refusal.message).toBe(`port ${port} on 127.0.0.1 is in use`);
  expect(refusal.hint).toContain('WALRELAY_HTTP_PORT');
  await daemon.stop();

  const without = outbox.start({ WALRELAY_HTTP_PORT: 'off' });
  await without.streaming();
  expect(await without.httpUrl()).toBe('off');
});

test('no log line of any level, and no page, holds a payload or a password across a session full of errors', async () => {
  await using outbox = await createFragileOutbox();
  const secret = 'Rumpelstilzchen';
  const payload = JSON.stringify({ note: secret, nested: { text: `${secret}://user:${secret}@host` } });
  const daemon = outbox.start({ WALRELAY_LOG_LEVEL: 'trace' });
  await daemon.streaming();
  await outbox.insert({ payload });
  await outbox.waitForLength(outbox.stream(), 1);

  await redis.kill();
  await outbox.insert({ payload });
  await daemon.waitForLog('session ended; a new one follows');
  const pages = [await get(daemon, '/readyz'), await get(daemon, '/metrics')];
  await redis.start();
  await outbox.waitForLength(outbox.stream(), 2);

  await postgres.kill();
  await postgres.start();
  await outbox.insert({ payload });
  await outbox.waitForLength(outbox.stream(), 3);
  // The last error is about an event: its place is named, what it says is not.
  await outbox.redis.set(outbox.stream('refused'), 'no stream');
  await outbox.insert({ aggregateType: 'refused', payload });
  const result = await daemon.exited;
  expect(result.exitCode).toBe(68);
  expect(result.stderr).toContain('EVENT_REFUSED');
  expectNoSecrets(result, outbox.env);
  for (const text of [result.stderr, result.stdout, ...pages.map((page) => page.text)]) {
    expect(text.includes(secret)).toBe(false);
  }
  // Every line is JSON: nothing of a library's own went past the logger.
  const lines = result.stderr.split('\n').filter((line) => line !== '');
  expect(lines.filter((line) => !line.startsWith('{'))).toEqual([]);
});

async function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: 2000 });
    const settle = (isOpen: boolean) => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
    socket.once('timeout', () => settle(false));
  });
}
