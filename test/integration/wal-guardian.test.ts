import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import type { Daemon } from '../support/cli.ts';
import { Outbox } from '../support/outbox.ts';
import { waitFor } from '../support/wait-for.ts';

interface WalDetail {
  readonly level: string;
  readonly status: string;
  readonly retainedBytes: number;
  readonly safeBytes: number | null;
  readonly headroomPercent: number | null;
}

let server: PostgresServer;

beforeAll(async () => {
  const settings = { max_slot_wal_keep_size: '64MB', min_wal_size: '32MB', max_wal_size: '64MB' };
  server = await startPostgres({ settings });
});
afterAll(async () => {
  await server.dispose();
});

const createOutbox = () =>
  Outbox.create({
    databaseUrl: server.url,
    redisUrl: inject('redisUrl'),
    env: { WALRELAY_WAL_LOOK_INTERVAL_MS: '100' },
  });

test('while Redis is away the WAL piles up: metrics, log and readiness say so, each threshold once', async () => {
  await using outbox = await createOutbox();
  // No session ever gets to Postgres: it is the guardian that sees the slot.
  const daemon = outbox.start({ REDIS_URL: 'redis://127.0.0.1:1', WALRELAY_START_TIMEOUT_MS: '0' });
  expect(await walOf(daemon, ({ level }) => level === 'ok')).toMatchObject({ status: 'reserved' });

  // Neither half of it (a rounding of two segments) nor all.
  await writeWal(outbox, 45);
  const low = await walOf(daemon, ({ headroomPercent }) => headroomPercent !== null && headroomPercent < 50);
  expect(low.level).toBe('warn');
  await writeWal(outbox, 20);
  await walOf(daemon, ({ level }) => level === 'error');
  const metrics = await (await fetch(`${await daemon.httpUrl()}/metrics`)).text();
  expect(metrics).toMatch(/^walrelay_slot_retained_bytes \d{8,}$/m);
  expect(metrics).toMatch(/^walrelay_slot_safe_bytes /m);
  expect(metrics).toMatch(/^walrelay_wal_bytes_per_second /m);

  const lines = daemon.log.filter(({ msg }) => msg.startsWith('wal budget'));
  expect(lines.map(({ level }) => level)).toEqual(['warn', 'error']);
  await daemon.stop();
});

test('a slot that is released again is said to be in no danger', async () => {
  await using outbox = await createOutbox();
  await writeWal(outbox, 45);
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.waitUntilConfirmed();
  // restart_lsn follows at the next record of running transactions, which a checkpoint writes.
  await waitFor('the slot to be released', async () => {
    await outbox.query('CHECKPOINT');
    return (await walNow(daemon))?.level === 'ok';
  });
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test('a slot without a limit warns by what it keeps', async () => {
  await using outbox = await createOutbox();
  await outbox.query("ALTER SYSTEM SET max_slot_wal_keep_size = '-1'");
  await outbox.query('SELECT pg_reload_conf()');
  try {
    const daemon = outbox.start({
      REDIS_URL: 'redis://127.0.0.1:1',
      WALRELAY_START_TIMEOUT_MS: '0',
      WALRELAY_WAL_RETAINED_WARN_BYTES: '1MiB',
    });
    await writeWal(outbox, 3);
    const wal = await walOf(daemon, ({ level }) => level === 'warn');
    expect(wal).toMatchObject({ safeBytes: null, headroomPercent: null });
    await daemon.stop();
  } finally {
    await outbox.query('ALTER SYSTEM RESET max_slot_wal_keep_size');
    await outbox.query('SELECT pg_reload_conf()');
  }
});

async function walNow(daemon: Daemon): Promise<WalDetail | null> {
  const body = (await (await fetch(`${await daemon.httpUrl()}/readyz`)).json()) as { wal: WalDetail | null };
  return body.wal;
}

async function walOf(daemon: Daemon, isWanted: (wal: WalDetail) => boolean): Promise<WalDetail> {
  let last: WalDetail | null = null;
  return waitFor(`the wanted WAL budget; the last was ${JSON.stringify(last)}`, async () => {
    last = await walNow(daemon);
    return last !== null && isWanted(last) ? last : null;
  });
}

/** Messages that nobody reads: WAL of a known size. */
async function writeWal(outbox: Outbox, mebibytes: number): Promise<void> {
  await outbox.query(
    "SELECT pg_logical_emit_message(false, 'ballast', repeat('x', 1024 * 1024)) FROM generate_series(1, $1::int)",
    [mebibytes],
  );
}
