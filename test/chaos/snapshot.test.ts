import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { Links, unlessExited } from '../support/chaos-links.ts';
import type { Daemon, Env } from '../support/cli.ts';
import { Oracle } from '../support/exactness.ts';
import { listedOutboxes } from '../support/listed-outboxes.ts';
import type { Outbox } from '../support/outbox.ts';
import { relayAll } from '../support/recovered.ts';
import { refusalOf, refusedRun } from '../support/setup-refusal.ts';
import {
  createOldTable,
  expectSnapshotExact,
  insertOld,
  snapshotCli,
  snapshotted,
} from '../support/snapshotted.ts';
import { waitFor } from '../support/wait-for.ts';
import { Workload } from '../support/workload.ts';

let postgres: PostgresServer;
let redis: RedisServer;

beforeAll(async () => {
  postgres = await startPostgres({ settings: { max_replication_slots: '20' } });
  redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'always'] });
});
afterAll(async () => {
  await redis.dispose();
  await postgres.dispose();
});

interface Place {
  readonly outbox: Outbox;
  readonly oracle: Oracle;
}

const ONE_TABLE = ['outbox'] as const;
/** What is inserted into the first goes to the second as well, one row in three or four, in the same transaction. */
const TWO_TABLES = ['outbox', 'returns'] as const;

/** Tables with rows, no slot, and an oracle that has seen them all. */
async function oldPlace(rows: number, tables: readonly string[] = ONE_TABLE): Promise<Place> {
  const outbox = await listedOutboxes(
    { databaseUrl: postgres.url, redisUrl: redis.url },
    () => `outboxes: [${tables.map((table) => `{ table: ${table} }`).join(', ')}]`,
  );
  await createOldTable(outbox, tables);
  // The rows of before stay: one that goes before it is published is rightly not published.
  await outbox.query(
    "CREATE FUNCTION keep_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
  );
  const oracle = await Oracle.create(outbox, tables);
  for (const table of tables) {
    await outbox.query(
      `CREATE TRIGGER keep_row BEFORE DELETE ON ${table} FOR EACH ROW WHEN (OLD.aggregateid = 'old') EXECUTE FUNCTION keep_row()`,
    );
    await insertOld(outbox, rows / tables.length, table);
  }
  if (tables === TWO_TABLES) {
    await outbox.query(`CREATE FUNCTION return_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
        INSERT INTO returns (aggregatetype, aggregateid, type, payload) VALUES (NEW.aggregatetype, NEW.aggregateid, NEW.type, NEW.payload);
        RETURN NULL; END';
      CREATE TRIGGER return_row AFTER INSERT ON outbox FOR EACH ROW WHEN (NEW.aggregatetype = 'invoice') EXECUTE FUNCTION return_row()`);
  }
  return { outbox, oracle };
}

function startSnapshot(outbox: Outbox, env: Env = {}): Daemon {
  return outbox.start({ WALRELAY_BATCH_EVENTS_MAX: '3', ...env }, { args: ['init', '--snapshot'] });
}

async function entryCount(outbox: Outbox): Promise<number> {
  let count = 0;
  for (const stream of await outbox.redis.keys(`${outbox.name}.*`)) count += await outbox.redis.xlen(stream);
  return count;
}

/** Postgres notices a killed client when it next writes to it. */
async function slotIsFree(outbox: Outbox): Promise<void> {
  await waitFor('the slot and its lock to be free', async () => {
    const holders = await outbox.query(
      `SELECT 1 FROM pg_replication_slots WHERE database = $1 AND active AND slot_name <> $2
       UNION ALL SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = $1)`,
      [outbox.name, `${outbox.name}_oracle`],
    );
    return holders.length === 0;
  });
}

/**
 * While it lives: rows of before get new versions, as from a poller that marks them; events that came later are deleted, as
 * applications do that keep none.
 */
class Restless implements AsyncDisposable {
  readonly #running: Promise<void>;
  #isStopped = false;

  constructor(outbox: Outbox, tables: readonly string[]) {
    this.#running = this.#run(outbox, tables);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    await this.#running;
  }

  async #run(outbox: Outbox, tables: readonly string[]): Promise<void> {
    while (!this.#isStopped) {
      for (const table of tables) {
        await outbox.query(
          `UPDATE ${table} SET created_at = created_at WHERE ctid IN (SELECT ctid FROM ${table} WHERE aggregateid = 'old' ORDER BY random() LIMIT 50)`,
        );
        await outbox.query(
          `DELETE FROM ${table} WHERE ctid IN (SELECT ctid FROM ${table} WHERE aggregateid <> 'old' ORDER BY random() LIMIT 30)`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The slot's beginning: whatever is killed, it stays where it is. */
async function findSlotLsn(outbox: Outbox): Promise<string | null> {
  const [slot] = await outbox.query<{ lsn: string }>(
    'SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = $1',
    [outbox.name],
  );
  return slot?.lsn ?? null;
}

const said = (...texts: readonly string[]) => ({
  name: `after it said: ${texts.join(' or ')}`,
  holds: (snapshot: Daemon) => texts.some((text) => snapshot.stderr.includes(text)),
});
const appended = (count: number) => {
  let from: number | null = null;
  return {
    name: `after ${count} entries`,
    holds: async (_: Daemon, outbox: Outbox) => {
      const now = await entryCount(outbox);
      from ??= now;
      return now >= from + count;
    },
  };
};

test.each([
  { what: 'one table', tables: ONE_TABLE },
  { what: 'two tables that share their streams', tables: TWO_TABLES },
])(
  'a snapshot of $what that is killed at every step and at random, under load, is finished by the next one: every event once, at its place',
  async ({ what, tables }) => {
    const seed = chaosSeed(`snapshot of ${what} killed`);
    const random = new Random(seed);
    const { outbox, oracle } = await oldPlace(4000, tables);
    await using _ = outbox;
    await using workload = Workload.start({
      databaseUrl: outbox.databaseUrl,
      seed,
      writers: 2,
      pauseMs: 300,
      bigEvery: 100,
      bigRows: 500,
      payloadBytesMax: 5000,
    });
    await using restless = new Restless(outbox, tables);
    const points = [
      said('reading the ids'),
      // The one before may have come so far as to make the slot.
      said('streams from', 'reading the slot from'),
      ...random.shuffle([
        said('reading the ids'),
        said('reading the slot from'),
        said('publishing'),
        ...Array.from({ length: 9 }, () => appended(random.int(1, 300))),
      ]),
    ];
    let kills = 0;
    let slotLsn: string | null = null;
    for (const point of points) {
      const snapshot = startSnapshot(outbox);
      const isKilled = await Promise.race([
        waitFor(point.name, () => point.holds(snapshot, outbox), 60_000).then(() => true),
        snapshot.exited.then(() => false),
      ]);
      const { signal, stderr, exitCode } = await snapshot.kill();
      if (!isKilled || signal !== 'SIGKILL') throw new Error(`it exited with ${exitCode}:\n${stderr}`);
      kills += 1;
      await slotIsFree(outbox);
      expect(['SNAPSHOT_UNFINISHED', 'SLOT_MISSING']).toContain((await refusedRun(outbox)).code);
      const now = await findSlotLsn(outbox);
      expect(now).toBe(slotLsn ?? now);
      slotLsn = now;
    }
    const report = await snapshotted(outbox);
    expect(report).toMatchObject({ start: 'continue', slotLsn });
    await restless[Symbol.asyncDispose]();
    await workload.stop();
    await relayAll(outbox);
    const counts = await expectSnapshotExact(outbox, oracle, report.slotLsn, tables);
    console.log(
      `snapshot of ${what} killed ${kills} times: ${counts.snapshot} of the snapshot, ${counts.relayed} relayed, lost 0, duplicated 0`,
    );
    expect(counts.snapshot).toBeGreaterThanOrEqual(4000);
    expect(counts.relayed).toBeGreaterThan(100);
  },
);

/** The one in the first epoch, where streams that should be empty are not; the other behind a snapshot that was begun anew. */
const NOTHING_TO_FINISH = /SNAPSHOT_IN_DOUBT|SNAPSHOT_TOO_LATE: .* \(epoch 2, up to 0\/0\)/;

/** Kills it when the n-th answer of either server comes, which it does not get. Answers how many came. */
async function killAtAnswer(
  outbox: Outbox,
  number: number,
): Promise<{ answers: number; wasKilled: boolean }> {
  await using links = await Links.open(outbox);
  let answers = 0;
  let snapshot: Daemon | null = null;
  const onDownstream = (chunk: Buffer): Buffer => {
    answers += 1;
    if (answers < number) return chunk;
    snapshot?.signal('SIGKILL');
    return Buffer.alloc(0);
  };
  links.postgres.tap = () => ({ onDownstream });
  links.redis.tap = () => ({ onDownstream });
  snapshot = startSnapshot(outbox, links.env);
  const { signal, exitCode, stderr } = await snapshot.exited;
  // Killed at its last answers, the run before had come to its end: then there is nothing to finish, and this one says so.
  const isOver = NOTHING_TO_FINISH.test(stderr);
  if (signal === null && exitCode !== 0 && !isOver) throw new Error(`it exited with ${exitCode}:\n${stderr}`);
  return { answers, wasKilled: signal === 'SIGKILL' };
}

/** CHAOS_ANSWERS=all kills at each of them, which takes a quarter of an hour; else at some that are drawn. */
const EVERY_ANSWER = process.env['CHAOS_ANSWERS'] === 'all';

test(
  'killed in front of any answer of either server, the first run and the one after it, the third finishes the snapshot',
  async () => {
    const random = new Random(chaosSeed('snapshot killed at answers'));
    const whole = await oldPlace(12);
    const { answers: count } = await killAtAnswer(whole.outbox, Number.POSITIVE_INFINITY);
    await whole.outbox[Symbol.asyncDispose]();
    expect(count).toBeGreaterThan(30);
    const all = Array.from({ length: count }, (_, index) => index + 1);
    const starts = { begin: 0, add: 0, continue: 0, anew: 0 } as Record<string, number>;
    for (const number of EVERY_ANSWER ? all : random.shuffle(all).slice(0, 10)) {
      const { outbox, oracle } = await oldPlace(12);
      await using _ = outbox;
      await killAtAnswer(outbox, number);
      await slotIsFree(outbox);
      await outbox.insert();
      const gone = await outbox.insert();
      const slotWasThere = (await findSlotLsn(outbox)) !== null;
      await outbox.query('DELETE FROM outbox WHERE id = $1', [gone]);
      await outbox.query('UPDATE outbox SET created_at = created_at');
      await killAtAnswer(outbox, random.int(1, count + 10));
      await slotIsFree(outbox);
      const last = await snapshotCli(outbox, ['--json']);
      const isOver = NOTHING_TO_FINISH.test(last.stderr);
      if (last.exitCode !== 0 && !isOver)
        throw new Error(`after ${number}: exited with ${last.exitCode}:\n${last.stderr}`);
      if (!isOver) {
        const { start } = JSON.parse(last.stdout) as { start: string };
        starts[start] = (starts[start] ?? 0) + 1;
      }
      const slotLsn = (await findSlotLsn(outbox)) ?? '';
      await outbox.insert();
      await relayAll(outbox);
      const counts = await expectSnapshotExact(outbox, oracle, slotLsn);
      // What was inserted and deleted behind the slot's beginning is relayed all the same.
      expect(counts.snapshot + counts.relayed).toBeGreaterThanOrEqual(slotWasThere ? 15 : 14);
    }
    console.log(`killed at answers; the third run found: ${JSON.stringify(starts)}`);
  },
  EVERY_ANSWER ? 3_600_000 : 600_000,
);

test('Redis or Postgres that goes down in the middle ends the snapshot; once it is back, the next one finishes it', async () => {
  const { outbox, oracle } = await oldPlace(6000);
  await using _ = outbox;
  for (const server of [redis, postgres]) {
    // First: a client that still has to find a Redis that is back could count what the snapshot has published by then.
    const before = await entryCount(outbox);
    const snapshot = startSnapshot(outbox, { WALRELAY_BATCH_EVENTS_MAX: '1' });
    await unlessExited(
      snapshot,
      waitFor('some entries', async () => (await entryCount(outbox)) > before + 20),
    );
    await server.kill();
    const refusal = refusalOf(await snapshot.exited, outbox.env);
    expect(['REDIS_CONNECTION_LOST', 'PG_CONNECTION_LOST', 'PG_SHUTDOWN']).toContain(refusal.code);
    expect(refusal.exitCode).toBe(69);
    await server.start();
  }
  await outbox.insert();
  const report = await snapshotted(outbox);
  expect(report).toMatchObject({ start: 'continue', rows: 6001, streamed: 1 });
  await relayAll(outbox);
  expect(await expectSnapshotExact(outbox, oracle, report.slotLsn)).toEqual({ snapshot: 6000, relayed: 1 });
});

test('a snapshot that sleeps while another one finishes it can not write when it wakes', async () => {
  const { outbox, oracle } = await oldPlace(3000);
  await using _ = outbox;
  const zombie = startSnapshot(outbox, { WALRELAY_BATCH_EVENTS_MAX: '1' });
  await unlessExited(
    zombie,
    waitFor('some entries', async () => (await entryCount(outbox)) > 20),
  );
  zombie.signal('SIGSTOP');
  expect((await snapshotCli(outbox)).stderr).toContain('SLOT_IN_USE');
  await outbox.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'walsender'",
    [outbox.name],
  );
  await slotIsFree(outbox);
  const report = await snapshotted(outbox);
  zombie.signal('SIGCONT');
  expect(refusalOf(await zombie.exited, outbox.env)).toMatchObject({ code: 'FENCED', exitCode: 75 });
  await relayAll(outbox);
  expect(await expectSnapshotExact(outbox, oracle, report.slotLsn)).toMatchObject({ snapshot: 3000 });
});

test('two snapshots at once: one works, the other is refused; Ctrl-C says how it goes on', async () => {
  const { outbox, oracle } = await oldPlace(3000);
  await using _ = outbox;
  const first = startSnapshot(outbox, { WALRELAY_BATCH_EVENTS_MAX: '1' });
  await unlessExited(
    first,
    waitFor('some entries', async () => (await entryCount(outbox)) > 20),
  );
  expect((await snapshotCli(outbox)).stderr).toContain('SLOT_IN_USE');
  first.signal('SIGINT');
  const { exitCode, stderr } = await first.exited;
  expect(exitCode).toBe(130);
  expect(stderr).toContain('run the same command again');
  await slotIsFree(outbox);
  const report = await snapshotted(outbox);
  await relayAll(outbox);
  expect(await expectSnapshotExact(outbox, oracle, report.slotLsn)).toMatchObject({ snapshot: 3000 });
});
