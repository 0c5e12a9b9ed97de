import { expect, test } from 'vitest';
import { startPostgres } from '../../dev/servers/postgres.ts';
import { startRedis } from '../../dev/servers/redis.ts';
import {
  comparePolled,
  createPolledOutbox,
  expectOrderPerAggregate,
  insertMany,
  startPolling,
  untilPolled,
  writeConcurrently,
} from '../support/polled-outbox.ts';
import { waitFor } from '../support/wait-for.ts';

/** Small steps, so that a signal falls into the middle of something. */
const SMALL = { WALRELAY_POLL_BATCH_EVENTS_MAX: '100', WALRELAY_BATCH_EVENTS_MAX: '7' };

test('SIGTERM in the middle of a backlog finishes the batch in hand and exits with 0; nothing comes twice', async () => {
  await using outbox = await createPolledOutbox();
  await insertMany(outbox, 20_000);
  for (const part of [1, 2000, 6000]) {
    const daemon = await startPolling(outbox, SMALL);
    await outbox.waitForLength(outbox.stream(), part);
    expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
    expect(daemon.log.at(-1)?.msg).toBe('stopped');
  }
  expect(await outbox.redis.xlen(outbox.stream())).toBeLessThan(20_000);
  await startPolling(outbox);
  await untilPolled(outbox);
  expect(await comparePolled(outbox)).toEqual({ events: 20_000, duplicates: 0 });
  await expectOrderPerAggregate(outbox);
});

test('SIGKILL in the middle, again and again, loses nothing; what comes twice is at most what a claim holds', async () => {
  await using outbox = await createPolledOutbox();
  const writing = writeConcurrently(outbox, { seed: 11, writers: 8, transactions: 150 });
  const kills = 8;
  let published = 0;
  for (let count = 0; count < kills; count += 1) {
    const daemon = await startPolling(outbox, { ...SMALL, WALRELAY_POLL_INTERVAL_MS: '1' });
    const before = published;
    await waitFor('more to be published', async () => {
      const lengths = await Promise.all(
        ['order', 'parcel', 'bill'].map((kind) => outbox.redis.xlen(outbox.stream(kind))),
      );
      published = lengths.reduce((sum, length) => sum + length);
      return published > before + 150;
    });
    await daemon.kill();
  }
  await writing;
  await startPolling(outbox);
  await untilPolled(outbox);
  const { events, duplicates } = await comparePolled(outbox);
  console.log(`killed ${kills} times: ${duplicates} of ${events} events came twice`);
  expect(duplicates).toBeLessThanOrEqual(kills * 100);
  await expectOrderPerAggregate(outbox);
});

test('a connection to Postgres that is cut in the middle is made anew, and nothing is lost', async () => {
  await using outbox = await createPolledOutbox();
  const daemon = await startPolling(outbox, { ...SMALL, WALRELAY_POLL_WORKERS: '3' });
  await insertMany(outbox, 10_000);
  for (const part of [500, 3000]) {
    await outbox.waitForLength(outbox.stream(), part);
    await outbox.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'walrelay-poll' AND datname = current_database() LIMIT 1",
    );
  }
  await untilPolled(outbox);
  expect((await comparePolled(outbox)).events).toBe(10_000);
  const ended = daemon.log.filter((line) => line.msg === 'session ended; a new one follows');
  const codes = ended.map((line) => line.err?.code ?? '');
  expect(codes.filter((code) => !['PG_SHUTDOWN', 'PG_CONNECTION_LOST'].includes(code))).toEqual([]);
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test('while Redis is down no row is lost or held, and when it is back the relay goes on by itself', async () => {
  await using redis = await startRedis();
  await using outbox = await createPolledOutbox({ redisUrl: redis.url });
  const daemon = await startPolling(outbox);
  await insertMany(outbox, 100);
  await untilPolled(outbox);
  await redis.kill();
  await insertMany(outbox, 100);
  await daemon.waitForLog('session ended; a new one follows');
  const url = await daemon.httpUrl();
  await waitFor('it to be unready', async () => (await fetch(`${url}/readyz`)).status === 503);
  expect((await fetch(`${url}/livez`)).status).toBe(200);
  expect(await outbox.query('SELECT FROM outbox FOR UPDATE NOWAIT')).toHaveLength(100);
  await redis.start();
  await untilPolled(outbox);
  const entries = await outbox.redis.xrange(outbox.stream(), '-', '+');
  expect(new Set(entries.map(([, fields]) => fields[1])).size).toBe(200);
});

test('a full Redis is waited for: no row is deleted that it refused', async () => {
  await using redis = await startRedis();
  await using outbox = await createPolledOutbox({ redisUrl: redis.url });
  const daemon = await startPolling(outbox);
  await outbox.redis.config('SET', 'maxmemory', '1');
  await insertMany(outbox, 50);
  const line = await daemon.waitForLog('session ended; a new one follows');
  expect(line.err?.code).toBe('REDIS_FULL');
  expect(await outbox.query('SELECT FROM outbox')).toHaveLength(50);
  await outbox.redis.config('SET', 'maxmemory', '0');
  await untilPolled(outbox);
  expect(await comparePolled(outbox)).toEqual({ events: 50, duplicates: 0 });
});

test('Postgres restarted under load: the relay comes back by itself, and nothing is lost', async () => {
  await using postgres = await startPostgres();
  await using outbox = await createPolledOutbox({ databaseUrl: postgres.url });
  await startPolling(outbox, SMALL);
  await insertMany(outbox, 5000);
  await outbox.waitForLength(outbox.stream(), 500);
  await postgres.stop('immediate');
  await postgres.start();
  await untilPolled(outbox);
  expect((await comparePolled(outbox)).events).toBe(5000);
});

test('while Redis hangs, a stop gives up after its time limit with 74, and a second signal ends it at once with 130', async () => {
  await using redis = await startRedis();
  await using outbox = await createPolledOutbox({ redisUrl: redis.url });
  const hung = async (env: Record<string, string>) => {
    const daemon = await startPolling(outbox, { WALRELAY_REDIS_TIMEOUT_MS: '60000', ...env });
    redis.pause();
    await insertMany(outbox, 10);
    await waitFor('a claim to be held', async () => {
      const [row] = await outbox.query<{ held: boolean }>(
        `SELECT count(*) > 0 AS held FROM pg_stat_activity
         WHERE application_name = 'walrelay-poll' AND state = 'idle in transaction' AND datname = current_database()`,
      );
      return row?.held;
    });
    daemon.signal('SIGTERM');
    await daemon.waitForLog('stopping');
    return daemon;
  };
  const limited = await hung({ WALRELAY_DRAIN_TIMEOUT_MS: '200' });
  expect(await limited.exited).toMatchObject({ exitCode: 74 });
  redis.resume();
  const hard = await hung({ WALRELAY_DRAIN_TIMEOUT_MS: '60000' });
  hard.signal('SIGTERM');
  expect(await hard.exited).toMatchObject({ exitCode: 130 });
  redis.resume();
  await startPolling(outbox);
  await untilPolled(outbox);
  expect((await comparePolled(outbox)).events).toBe(20);
});

test('a relay that freezes with rows in its hand loses them to another one', async () => {
  await using redis = await startRedis();
  await using outbox = await createPolledOutbox({ redisUrl: redis.url });
  const frozen = await startPolling(outbox, { WALRELAY_REDIS_TIMEOUT_MS: '500' });
  redis.pause();
  await insertMany(outbox, 10);
  await waitFor('a claim to be held', async () => {
    const rows = await outbox.query('SELECT FROM outbox FOR UPDATE SKIP LOCKED');
    return rows.length === 0;
  });
  frozen.signal('SIGSTOP');
  redis.resume();
  await startPolling(outbox);
  await untilPolled(outbox);
  frozen.signal('SIGCONT');
  await frozen.waitForLog('session ended; a new one follows');
  expect((await comparePolled(outbox)).events).toBe(10);
});
