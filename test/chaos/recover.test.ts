import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { unlessExited } from '../support/chaos-links.ts';
import type { Daemon } from '../support/cli.ts';
import { Outbox } from '../support/outbox.ts';
import {
  dropSlot,
  expectWhole,
  keepRows,
  loseSlot,
  recoverCli,
  recovered,
  relayAll,
} from '../support/recovered.ts';
import { refusalOf, refusedRun } from '../support/setup-refusal.ts';
import { waitFor } from '../support/wait-for.ts';
import { Workload } from '../support/workload.ts';

let postgres: PostgresServer;
let redis: RedisServer;

beforeAll(async () => {
  postgres = await startPostgres({
    settings: { max_slot_wal_keep_size: '16MB', min_wal_size: '32MB', max_wal_size: '64MB' },
  });
  redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
});
afterAll(async () => {
  await redis.dispose();
  await postgres.dispose();
});

const MANY_ROWS = `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
  SELECT 'order', 'a', 't', to_jsonb(n) FROM generate_series(1, 20000) n`;

const createOutbox = () => Outbox.create({ databaseUrl: postgres.url, redisUrl: redis.url });

/** Relays some of a workload, then loses the slot while the producers go on. */
async function loseSlotUnderLoad(outbox: Outbox, seed: number, writers: number): Promise<Workload> {
  await keepRows(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  // Older than every row of the workload: else a row could be older than the relay, as far as anybody can tell.
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  const workload = Workload.start({
    databaseUrl: outbox.databaseUrl,
    seed,
    writers,
    bigEvery: 40,
    bigRows: 2_000,
    payloadBytesMax: 5_000,
  });
  await unlessExited(
    daemon,
    waitFor('events in every kind of stream', async () => (await streamCount(outbox)) === 4, 60_000),
  );
  await daemon.kill();
  await loseSlot(outbox);
  return workload;
}

async function streamCount(outbox: Outbox): Promise<number> {
  return (await outbox.redis.keys(`${outbox.name}.*`)).length;
}

async function publishedCount(outbox: Outbox): Promise<number> {
  const text = (await outbox.redis.hget(outbox.metaKey, 'recovery')) ?? '';
  return Number(/(\d+) events re-published/.exec(text)?.[1] ?? 0);
}

test('a slot invalidated under load, recovered while producers go on: every event stands once, and the relay streams on', async () => {
  const seed = chaosSeed('recover under load');
  await using outbox = await createOutbox();
  await using workload = await loseSlotUnderLoad(outbox, seed, 6);
  const refusal = await refusedRun(outbox);
  expect(refusal).toMatchObject({ code: 'SLOT_LOST', exitCode: 67 });
  expect(refusal.hint).toMatch(/^Run `walrelay recover`/);

  const report = await recovered(outbox);
  expect(report).toMatchObject({ reason: 'lost', doubtful: 0, takenAsRelayed: 0, epoch: 2 });
  const daemon = outbox.start();
  await daemon.streaming();
  const before = workload.transactionCount;
  await unlessExited(
    daemon,
    waitFor('more transactions', () => workload.transactionCount > before + 100, 60_000),
  );
  await workload.stop();
  await unlessExited(daemon, outbox.waitUntilConfirmed(120_000));
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
  const whole = await expectWhole(outbox, report.slotLsn);
  console.log(
    `recover under load: ${whole.rows} events, ${whole.recovered} of them recovered, lost 0, duplicated 0`,
  );
  expect(whole.recovered).toBe(report.published);
  expect(whole.recovered).toBeGreaterThan(0);
});

/** Where a recovery is killed: as soon as this holds. */
interface KillPoint {
  readonly name: string;
  holds(recovery: Daemon, outbox: Outbox): Promise<boolean> | boolean;
}

const said = (text: string): KillPoint => ({
  name: `after it said: ${text}`,
  holds: (recovery) => recovery.stderr.includes(text),
});
const publishedSome = (count: number): KillPoint => ({
  name: `after ${count} events`,
  holds: async (_, outbox) => (await publishedCount(outbox)) >= count,
});

test('a recovery that is killed at every step and at random, under load, is finished by the next one', async () => {
  const seed = chaosSeed('recover killed');
  const random = new Random(seed);
  await using outbox = await createOutbox();
  await using workload = await loseSlotUnderLoad(outbox, seed, 3);
  const points = [
    said('reading the ids'),
    said('is dropped'),
    said('a new slot streams'),
    said('comparing'),
    said('publishing'),
    ...Array.from({ length: 6 }, () => publishedSome(random.int(1, 200))),
  ];
  let kills = 0;
  for (const point of random.shuffle(points)) {
    const recovery = outbox.start({ WALRELAY_BATCH_EVENTS_MAX: '3' }, { args: ['recover', '--yes'] });
    const isKilled = await Promise.race([
      waitFor(point.name, () => point.holds(recovery, outbox), 60_000).then(() => true),
      recovery.exited.then(() => false),
    ]);
    const { exitCode, signal, stderr } = await recovery.kill();
    if (isKilled && signal === 'SIGKILL') kills += 1;
    // It may have been faster; then there is nothing to recover until the slot is lost again.
    else if (exitCode !== 0) throw new Error(`recover exited with ${exitCode}:\n${stderr}`);
    else await loseSlot(outbox);
    const slotIsFree = async () =>
      (
        await outbox.query('SELECT 1 FROM pg_replication_slots WHERE slot_name = $1 AND active', [
          outbox.name,
        ])
      ).length === 0;
    await waitFor('the slot to be free', slotIsFree);
    const run = await refusedRun(outbox);
    expect(['RECOVERY_UNFINISHED', 'SLOT_MISSING', 'SLOT_LOST']).toContain(run.code);
  }
  await recovered(outbox);
  await workload.stop();
  await relayAll(outbox);
  const whole = await expectWhole(outbox);
  console.log(
    `recover killed ${kills} times: ${whole.rows} events, ${whole.recovered} recovered, lost 0, duplicated 0`,
  );
  expect(kills).toBeGreaterThan(5);
});

test('Redis or Postgres that goes down in the middle ends the recovery; once it is back, the next one finishes it', async () => {
  const seed = chaosSeed('recover with servers that go down');
  await using outbox = await createOutbox();
  await using workload = await loseSlotUnderLoad(outbox, seed, 3);
  await workload.stop();
  await outbox.query(MANY_ROWS);
  for (const server of [redis, postgres]) {
    const recovery = outbox.start({ WALRELAY_BATCH_EVENTS_MAX: '1' }, { args: ['recover', '--yes'] });
    const earlier = await publishedCount(outbox);
    await unlessExited(
      recovery,
      waitFor('some events', async () => {
        const count = await publishedCount(outbox);
        return count > 5 && count !== earlier;
      }),
    );
    await server.kill();
    const refusal = refusalOf(await recovery.exited, outbox.env);
    expect(['REDIS_CONNECTION_LOST', 'PG_CONNECTION_LOST', 'PG_SHUTDOWN']).toContain(refusal.code);
    expect(refusal.exitCode).toBe(69);
    await server.start();
  }
  await recovered(outbox);
  await relayAll(outbox);
  await expectWhole(outbox);
});

test('Ctrl-C ends a recovery at once and says how it goes on', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.query(MANY_ROWS);
  const recovery = outbox.start({ WALRELAY_BATCH_EVENTS_MAX: '1' }, { args: ['recover', '--yes'] });
  await unlessExited(
    recovery,
    waitFor('some events', async () => (await publishedCount(outbox)) > 10),
  );
  recovery.signal('SIGINT');
  const { exitCode, stderr } = await recovery.exited;
  expect(exitCode).toBe(130);
  expect(stderr).toContain('run `walrelay recover --yes` again');
  await recovered(outbox);
  await relayAll(outbox);
  await expectWhole(outbox);
});

test('a recovery that sleeps while another one does its work can not write when it wakes', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.query(MANY_ROWS);
  const zombie = outbox.start({ WALRELAY_BATCH_EVENTS_MAX: '1' }, { args: ['recover', '--yes'] });
  await unlessExited(
    zombie,
    waitFor('some events', async () => (await publishedCount(outbox)) > 10),
  );
  zombie.signal('SIGSTOP');
  expect((await recoverCli(outbox)).stderr).toContain('SLOT_IN_USE');
  await outbox.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'walsender'",
    [outbox.name],
  );
  await recovered(outbox);
  zombie.signal('SIGCONT');
  const refusal = refusalOf(await zombie.exited, outbox.env);
  expect(refusal).toMatchObject({ code: 'EPOCH_CHANGED', exitCode: 67 });
  await relayAll(outbox);
  await expectWhole(outbox);
});

test('two recoveries at once: one works, the other is refused', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await relayAll(outbox);
  await dropSlot(outbox);
  await outbox.query(MANY_ROWS);
  const results = await Promise.all([recoverCli(outbox), recoverCli(outbox)]);
  const done = results.filter(({ exitCode }) => exitCode === 0);
  expect(done).toHaveLength(1);
  const other = results.find(({ exitCode }) => exitCode !== 0);
  expect(other?.stderr).toMatch(/SLOT_IN_USE|SLOT_HEALTHY/);
  await relayAll(outbox);
  await expectWhole(outbox);
});
