import { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import {
  isLong,
  Links,
  readMetric,
  sessionErrors,
  settle,
  streamingCount,
  waitForEvents,
  waitForRelay,
  waitForSessions,
} from '../support/chaos-links.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import type { Daemon } from '../support/cli.ts';
import { Oracle } from '../support/exactness.ts';
import { Outbox } from '../support/outbox.ts';
import { countStatuses, timeWithStatuses } from '../support/status-frames.ts';
import { terminateWalsender } from '../support/walsender.ts';
import { Workload } from '../support/workload.ts';

let postgres: PostgresServer;
let redis: RedisServer;

beforeAll(async () => {
  [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
});

afterAll(async () => {
  await Promise.all([postgres?.dispose(), redis?.dispose()]);
});

const create = () => Outbox.create({ databaseUrl: postgres.url, redisUrl: redis.url });

test('killed under load and started again, several times: exact', async () => {
  const random = new Random(chaosSeed('postgres-crash'));
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  await using workload = Workload.start({ databaseUrl: outbox.databaseUrl, seed: random.int(0, 1e9) });
  for (let life = 1; life <= (isLong ? 20 : 3); life += 1) {
    await waitForEvents(daemon, life * 500);
    await new Promise((resolve) => setTimeout(resolve, random.int(0, 300)));
    await postgres.kill();
    await postgres.start();
    await waitForSessions(daemon, life + 1);
  }
  const events = await settle({ outbox, oracle, daemon }, workload);
  console.log(`postgres killed: ${events} events, ${workload.failedCount} transactions failed`);
  expect(workload.failedCount).toBeGreaterThan(0);
});

test('killed with a long write transaction open: confirmed events are sent again, and none stands twice', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  const long = new Client({ connectionString: outbox.databaseUrl });
  long.on('error', () => undefined);
  await long.connect();
  await long.query('BEGIN');
  // With an XID of its own it holds back the slot's restart and candidate positions.
  await long.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 'x', '{}')",
  );
  const single =
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 'created', '{}')";
  for (let count = 0; count < 600; count += 1) await outbox.query(single);
  await outbox.waitUntilConfirmed();
  await outbox.query('CHECKPOINT');
  const confirmedBefore = await outbox.confirmedLsn();
  expect(await readMetric(daemon, 'walrelay_resent_events_total')).toBe(0);

  await postgres.kill();
  await postgres.start();
  await waitForSessions(daemon, 2);
  await outbox.query(single);
  expect(await settle({ outbox, oracle, daemon: await resent(daemon) })).toBeGreaterThan(0);
  console.log(`confirmed before the kill: ${confirmedBefore}`);
  await long.end().catch(() => undefined);

  async function resent(relay: typeof daemon): Promise<typeof daemon> {
    const count = await waitForRelay(relay, 'events to be sent again', () =>
      readMetric(relay, 'walrelay_resent_events_total'),
    );
    console.log(`postgres killed with a transaction open: ${count} of 600 confirmed events were sent again`);
    expect(count).toBeGreaterThan(0);
    return relay;
  }
});

test('an immediate shutdown under load: exact', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await using workload = Workload.start({ databaseUrl: outbox.databaseUrl, seed: chaosSeed('immediate') });
  await waitForEvents(daemon, 500);
  await postgres.stop('immediate');
  await postgres.start();
  await waitForSessions(daemon, 2);
  await waitForEvents(daemon, 1000);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('a fast shutdown under load waits for no relay: it ends at once, and the relay goes on afterwards', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const statuses = countStatuses(links.postgres);
  const daemon = outbox.start(links.env);
  await using workload = Workload.start({ databaseUrl: outbox.databaseUrl, seed: chaosSeed('fast') });
  await waitForEvents(daemon, 500);
  const { ms, perSecond } = await timeWithStatuses(statuses, () => postgres.stop('fast'));
  console.log(`fast shutdown, Redis healthy: ${ms} ms, ${perSecond} status updates a second`);
  expect(ms).toBeLessThan(10_000);
  expect(perSecond).toBeLessThan(50);
  await postgres.start();
  await waitForSessions(daemon, 2);
  await waitForEvents(daemon, 1000);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('a fast shutdown while Redis does not answer still ends, and the relay goes on afterwards', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const statuses = countStatuses(links.postgres);
  const daemon = outbox.start(links.env);
  await using workload = Workload.start({
    databaseUrl: outbox.databaseUrl,
    seed: chaosSeed('fast, no Redis'),
  });
  await waitForEvents(daemon, 500);
  redis.pause();
  try {
    await waitForRelay(daemon, 'unanswered batches', () => readMetric(daemon, 'walrelay_in_flight_batches'));
    const { ms, perSecond } = await timeWithStatuses(statuses, () => postgres.stop('fast'));
    console.log(`fast shutdown, Redis stopped: ${ms} ms, ${perSecond} status updates a second`);
    expect(ms).toBeLessThan(10_000);
    expect(perSecond).toBeLessThan(50);
  } finally {
    redis.resume();
  }
  await postgres.start();
  await waitForSessions(daemon, 2);
  await waitForEvents(daemon, 1000);
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
});

test('a walsender terminated again and again is no loss of the slot: the relay comes back each time', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({ WALRELAY_STANDBY_POLL_MS: '20', WALRELAY_BACKOFF_MIN_MS: '20' });
  await daemon.streaming();
  await using workload = Workload.start({ databaseUrl: outbox.databaseUrl, seed: chaosSeed('terminate') });
  for (let count = 1; count <= (isLong ? 100 : 15); count += 1) {
    const streamed = streamingCount(daemon);
    await waitForRelay(daemon, 'a walsender to terminate', () => terminateWalsender(outbox));
    await waitForSessions(daemon, streamed + 1);
  }
  expect(await settle({ outbox, oracle, daemon }, workload)).toBeGreaterThan(0);
  const codes = new Set(sessionErrors(daemon));
  console.log(`walsender terminated: sessions ended with ${[...codes].join(', ')}`);
  for (const code of codes) expect(['PG_SHUTDOWN', 'PG_CONNECTION_LOST', 'SLOT_IN_USE']).toContain(code);
});

test('a walsender terminated while a batch is in flight, its connection gone before the batch is answered', async () => {
  await using outbox = await create();
  const oracle = await Oracle.create(outbox);
  await using links = await Links.open(outbox);
  const daemon = outbox.start({ ...links.env, WALRELAY_STATUS_INTERVAL_MS: '100' });
  await daemon.streaming();
  links.redis.upstream.delayMs = 1000;
  const readBefore = await readMetric(daemon, 'walrelay_transactions_total');
  await outbox.insert();
  await waitForRelay(daemon, 'a batch on its way', async () => {
    return (await readMetric(daemon, 'walrelay_transactions_total')) > readBefore;
  });
  await terminateWalsender(outbox);
  await waitForRelay(daemon, 'the relay to drain', async () => (await phaseOf(daemon)) === 'draining');
  links.postgres.resetAll();
  links.redis.upstream.delayMs = 0;
  await waitForSessions(daemon, 2);
  expect(await settle({ outbox, oracle, daemon })).toBe(1);
});

async function phaseOf(daemon: Daemon): Promise<string> {
  const response = await fetch(`${await daemon.httpUrl()}/livez`);
  return ((await response.json()) as { phase: string }).phase;
}
