import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BenchReport } from '../../src/bench/bench-report.ts';
import { ReplicationConnection } from '../../src/source/replication-connection.ts';
import { Daemon, type Env, runCli } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

const TEST_TIMEOUT_MS = 180_000;
/** Names that only look like ours. */
const FOREIGN = 'walrelay_bench_customer';
const FOREIGN_KEYS = ['walrelay_bench:customers', 'walrelay_bench:deadbee:1', 'walrelay_benches'];

let outbox: Outbox;
let dir: string;
let env: Env;

beforeAll(async () => {
  outbox = await createOutbox({ isInitialized: false });
  dir = mkdtempSync(join(tmpdir(), 'wr-bench-test-'));
  // A temporary directory of its own shows whether the bench leaves files behind.
  env = { DATABASE_URL: outbox.databaseUrl, REDIS_URL: outbox.redisUrl, TMPDIR: dir };
});

afterAll(async () => {
  await outbox.redis.del(...FOREIGN_KEYS);
  await outbox[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** What the bench has on the servers and on this machine, by its names. */
async function traces(): Promise<string[]> {
  const rows = await outbox.query<{ name: string }>(
    `SELECT 'slot ' || slot_name AS name FROM pg_replication_slots
       WHERE database = current_database() AND slot_name ~ '^walrelay_bench_[0-9a-f]{8}'
     UNION ALL SELECT 'publication ' || pubname FROM pg_publication WHERE pubname ~ '^walrelay_bench_[0-9a-f]{8}'
     UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname ~ '^walrelay_bench_[0-9a-f]{8}'`,
  );
  const keys = (await outbox.redis.keys('walrelay_bench:*')).filter((key) =>
    /^walrelay_bench:[0-9a-f]{8}:/.test(key),
  );
  const files = readdirSync(dir).filter((name) => name.startsWith('walrelay_bench_'));
  return [...rows.map(({ name }) => name), ...keys, ...files];
}

async function activeSlot(): Promise<string> {
  return await waitFor(
    'a relay of the bench that streams',
    async () => {
      const [slot] = await outbox.query<{ name: string }>(
        `SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database() AND active`,
      );
      return slot?.name;
    },
    60_000,
  );
}

function startLongBench(): Daemon {
  const args = ['--scenario', 'steady-50', '--relay', 'walrelay', '--duration', '600', '--no-html'];
  return Daemon.start(env, { args: ['bench', ...args] });
}

describe('a small bench', () => {
  test(
    'measures two relays in two scenarios, finds everything exact, and leaves nothing behind',
    async () => {
      const json = join(dir, 'report.json');
      const html = join(dir, 'report.html');
      const choice = ['--scenario', 'steady-50,drain', '--relay', 'walrelay,poll-10'];
      const size = ['--duration', '1', '--events', '3000'];
      const result = await runCli(['bench', ...choice, ...size, '--json', json, '--html', html], env);
      expect(result).toMatchObject({ exitCode: 0, stderr: expect.not.stringContaining('failed') as string });
      expect(result.stdout).toContain('[steady-50]');

      const report = JSON.parse(readFileSync(json, 'utf8')) as BenchReport;
      expect(report.isComplete).toBe(true);
      expect(report.runs.map(({ scenario, contestant }) => `${scenario} ${contestant}`).sort()).toEqual([
        'drain poll-10',
        'drain walrelay',
        'steady-50 poll-10',
        'steady-50 walrelay',
      ]);
      for (const run of report.runs) {
        expect(run).toMatchObject({
          outcome: 'measured',
          check: { missing: 0, duplicated: 0, misordered: 0, timedOut: false },
        });
      }
      for (const run of report.runs.filter(({ scenario }) => scenario === 'drain')) {
        expect(run.committed).toBe(3000);
        expect(run.throughput?.overTime.at(-1)?.[1]).toBe(3000);
      }
      for (const run of report.runs.filter(({ scenario }) => scenario === 'steady-50')) {
        expect(run.latency?.count).toBeGreaterThan(20);
        expect(run.latency?.distribution.at(-1)?.[0]).toBe(100);
        expect(run.serviceLatency?.count).toBe(run.latency?.count);
      }
      // Deleting what was published leaves dead rows; reading the WAL leaves none.
      const dead = (contestant: string) =>
        report.runs.find((run) => run.scenario === 'steady-50' && run.contestant === contestant)?.database
          .deadTuples;
      expect(dead('walrelay')).toBe(0);
      expect(dead('poll-10')).toBeGreaterThan(0);
      expect(report.floor.copyData?.count).toBeGreaterThan(0);
      expect(report.floor.redisRoundTrip?.count).toBeGreaterThan(0);
      expect(report.floor.serverDecodeEventsPerSecond).toBeGreaterThan(0);
      expect(JSON.stringify(report)).not.toContain(new URL(outbox.databaseUrl).password);
      expect(existsSync(html)).toBe(true);
      expect(await traces()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test('with a scenario, a relay or a number that there is not is refused before anything is made', async () => {
    for (const args of [
      ['--scenario', 'drian'],
      ['--relay', 'walrelai'],
      ['--duration', 'long'],
      ['--jsno'],
    ]) {
      const result = await runCli(['bench', ...args], env);
      expect(result.exitCode).toBe(78);
      expect(result.stdout).toBe('');
    }
    expect(await traces()).toEqual([]);
  });
});

describe('a bench that is interrupted', () => {
  test(
    'by Ctrl-C removes everything and exits with 130; until then `bench clean` leaves it alone',
    async () => {
      await using bench = startLongBench();
      const slot = await activeSlot();
      const clean = await runCli(['bench', 'clean'], env);
      expect(clean).toMatchObject({ exitCode: 0, stdout: 'nothing was left\n' });
      expect(await activeSlot()).toBe(slot);

      bench.signal('SIGINT');
      const result = await bench.exited;
      expect(result.exitCode).toBe(130);
      expect(await traces()).toEqual([]);
    },
    TEST_TIMEOUT_MS,
  );

  test(
    'by SIGKILL takes its processes with it; `bench clean` removes what is left, and nothing else',
    async () => {
      await outbox.query(`CREATE SCHEMA ${FOREIGN}`);
      await outbox.query(`CREATE PUBLICATION ${FOREIGN}`);
      await outbox.query(`SELECT pg_create_logical_replication_slot('${FOREIGN}', 'pgoutput')`);
      for (const key of FOREIGN_KEYS) await outbox.redis.set(key, 'x');
      // Of a run that lives on another database, as far as anybody can tell.
      const elsewhere = ['walrelay_bench:aaaaaaaa:run', 'walrelay_bench:aaaaaaaa:1:s0'];
      for (const key of elsewhere) await outbox.redis.set(key, 'another cluster/another database');

      await using bench = startLongBench();
      const slot = await activeSlot();
      await waitFor('entries', async () => (await outbox.redis.keys('walrelay_bench:*:s0')).length > 1);
      await bench.kill();

      await waitFor('its relay, producers and reader to end', async () => {
        const others = await outbox.query(
          "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'walrelay%'",
        );
        return others.length === 0;
      });
      await waitFor('its files to go', () =>
        readdirSync(dir).every((name) => !name.startsWith('walrelay_bench_')),
      );
      const left = (await traces()).filter((trace) => !elsewhere.includes(trace));
      expect(left).toEqual(expect.arrayContaining([`slot ${slot}`, `publication ${slot}`]));
      expect(left.some((trace) => trace.startsWith('schema '))).toBe(true);

      // Somebody still reads the slot: that one is ended.
      const reader = await ReplicationConnection.open({ connectionString: outbox.databaseUrl });
      try {
        await reader.start({
          slot,
          publication: slot,
          rowBytesMax: 1e6,
          copyData: () => undefined,
          chunkEnd: () => undefined,
          failed: () => undefined,
        });
        const clean = await runCli(['bench', 'clean'], env);
        expect(clean.exitCode).toBe(0);
        expect(clean.stdout).toContain(slot);
      } finally {
        reader.destroy();
      }
      expect((await traces()).sort()).toEqual([...elsewhere].sort());
      expect(await outbox.redis.exists(...FOREIGN_KEYS)).toBe(FOREIGN_KEYS.length);
      const kept = await outbox.query(
        `SELECT 1 FROM pg_replication_slots WHERE slot_name = '${FOREIGN}'
         UNION ALL SELECT 1 FROM pg_publication WHERE pubname = '${FOREIGN}'
         UNION ALL SELECT 1 FROM pg_namespace WHERE nspname = '${FOREIGN}'`,
      );
      expect(kept).toHaveLength(3);

      await outbox.redis.del(...elsewhere);
      expect((await runCli(['bench', 'clean'], env)).stdout).toBe('nothing was left\n');
    },
    TEST_TIMEOUT_MS,
  );
});
