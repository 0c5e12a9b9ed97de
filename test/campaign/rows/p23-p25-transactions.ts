import { readFileSync } from 'node:fs';
import { Client } from 'pg';
import type { Redis } from 'ioredis';
import { isLong, sessionErrors, unlessExited, waitForEvents } from '../../support/chaos-links.ts';
import { CopyIn } from '../../support/chaos-copy-in.ts';
import type { Daemon } from '../../support/cli.ts';
import { countStatuses } from '../../support/status-frames.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';
import type { Scene } from '../scene.ts';

const MiB = 1024 * 1024;

export const rows: readonly Row[] = [
  {
    id: 'P23',
    fault:
      'COPY of 100,000 rows, inserts of many rows, savepoints rolled back, side by side; the relay killed meanwhile',
    must: 'OK',
    runs: 2,
    run: bulkLoads,
  },
  {
    id: 'P24',
    fault: isLong
      ? 'one transaction of a million rows and 5 GB, the relay killed half-way'
      : 'one transaction of 200,000 rows and 400 MB, the relay killed half-way (CHAOS_LONG=1: a million, 5 GB)',
    must: 'OK',
    runs: 1,
    limitSeconds: isLong ? 3_600 : 300,
    run: hugeTransaction,
  },
  {
    id: 'P25',
    fault: 'PREPARE TRANSACTION, Postgres and relay killed, COMMIT PREPARED and ROLLBACK PREPARED later',
    must: 'OK',
    runs: 2,
    run: prepared,
  },
];

async function bulkLoads(context: RowContext): Promise<void> {
  const scene = await context.openScene();
  let daemon = await scene.startStreaming();
  const copied = Array.from({ length: 100_000 }, (_, n) => `copied\t${n % 50}\tcreated\t{"n": ${n}}\n`).join(
    '',
  );
  const connect = async (): Promise<Client> => {
    const client = new Client({ connectionString: scene.outbox.databaseUrl });
    await client.connect();
    context.defer(() => client.end());
    return client;
  };
  const [copying, inserting, saving] = await Promise.all([connect(), connect(), connect()]);
  const insert = (type: string, count: number): string =>
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT '${type}', (n % 7)::text, 'created', jsonb_build_object('n', n) FROM generate_series(1, ${count}) n;`;
  const work = Promise.all([
    new CopyIn('COPY outbox (aggregatetype, aggregateid, type, payload) FROM STDIN', copied).run(copying),
    repeat(20, () => inserting.query(insert('many', 500))),
    repeat(40, () =>
      saving.query(`BEGIN; ${insert('kept', 3)} SAVEPOINT a; ${insert('undone', 5)} SAVEPOINT b; ${insert('undone', 2)}
        ROLLBACK TO a; ${insert('kept', 2)} SAVEPOINT c; ${insert('kept', 1)} RELEASE c; COMMIT`),
    ),
  ]);
  await waitForEvents(daemon, context.random.int(1, 20_000));
  const fault = context.fault('kill -9 of the relay', { isKill: true });
  await daemon.kill();
  await work;
  fault.over();
  daemon = await scene.startStreaming();
  await scene.recover(daemon, fault);
  await scene.settle(daemon);
  const undone = await scene.outbox.redis.exists(scene.outbox.stream('undone'));
  if (undone !== 0) throw new Error('what a savepoint rolled back was delivered');
}

async function repeat(count: number, work: () => Promise<unknown>): Promise<void> {
  for (let done = 0; done < count; done += 1) await work();
}

const HUGE = isLong ? { rows: 1_000_000, payloadBytes: 5_000 } : { rows: 200_000, payloadBytes: 2_000 };
/** Node itself, code and heap, and the budget below. */
const RESIDENT_BYTES_MAX = 256 * MiB;
/** A relay that sends no status for that long is dropped. */
const WAL_SENDER_TIMEOUT_MS = 15_000;

/** The oracle would hold all of it in memory: here each event carries its number, and a consumer checks as it goes. */
async function hugeTransaction(context: RowContext): Promise<void> {
  const [postgres, redis] = await Promise.all([
    context.startPostgres({
      settings: {
        wal_sender_timeout: String(WAL_SENDER_TIMEOUT_MS),
        max_wal_size: '4GB',
        logical_decoding_work_mem: '16MB',
      },
    }),
    context.startRedis({ args: ['--appendonly', 'no', '--save', ''] }),
  ]);
  const scene = await context.openScene({
    postgres,
    redis,
    env: { WALRELAY_MEMORY_BUDGET_BYTES: '40MiB', WALRELAY_STATUS_INTERVAL_MS: '1000' },
  });
  await scene.outbox.query('SELECT pg_drop_replication_slot($1)', [`${scene.outbox.name}_oracle`]);
  const statuses = countStatuses(scene.links.postgres);
  let daemon = await scene.startStreaming();
  const reader = new NumberedReader(scene);
  context.note(`${HUGE.rows} rows of ${HUGE.payloadBytes} bytes in one transaction`);
  const inserting = scene.outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT 'huge', n::text, 'created', to_jsonb(repeat('x', $2)) FROM generate_series(0, $1 - 1) n`,
    [HUGE.rows, HUGE.payloadBytes],
  );
  await inserting;
  const killAt = context.random.int(HUGE.rows * 0.3, HUGE.rows * 0.7);
  await unlessExited(daemon, reader.readTo(killAt, context));
  const peakBefore = peakBytes(daemon);
  const fault = context.fault(`kill -9 of the relay after event ${reader.count}`, { isKill: true });
  await daemon.kill();
  if (sessionErrors(daemon).length > 0)
    throw new Error(`sessions ended with ${sessionErrors(daemon).join(', ')}`);
  fault.over();
  daemon = await scene.startStreaming();
  await unlessExited(daemon, reader.readTo(reader.count + 1, context));
  context.recovered(fault);
  await unlessExited(daemon, reader.readTo(HUGE.rows, context));
  await unlessExited(daemon, scene.outbox.waitUntilConfirmed(120_000));
  const peak = Math.max(peakBefore, peakBytes(daemon));
  context.tally.events += reader.count;
  context.note(
    `peak ${Math.round(peak / MiB)} MiB resident, at most ${Math.round(statuses.longestPauseMs)} ms between status updates`,
  );
  if (sessionErrors(daemon).length > 0)
    throw new Error(`sessions ended with ${sessionErrors(daemon).join(', ')}`);
  if (peak > RESIDENT_BYTES_MAX) throw new Error(`${Math.round(peak / MiB)} MiB resident`);
  if (statuses.longestPauseMs > WAL_SENDER_TIMEOUT_MS)
    throw new Error(`no status update for ${Math.round(statuses.longestPauseMs)} ms`);
  const left = await scene.outbox.redis.xlen(reader.stream);
  if (left !== 0) throw new Error(`${left} entries more than were committed`);
  const result = await daemon.stop();
  if (result.exitCode !== 0) throw new Error(`the relay exited with ${result.exitCode}`);
}

/** Reads a stream whose events are numbered from 0 by aggregate id and by ordinal, and removes what it has read. */
class NumberedReader {
  readonly stream: string;
  readonly #redis: Redis;
  count = 0;

  constructor(scene: Scene) {
    this.#redis = scene.outbox.redis;
    this.stream = scene.outbox.stream('huge');
  }

  /** Resolves when that many have come, each once and in order. */
  async readTo(count: number, context: RowContext): Promise<void> {
    let lastMs = performance.now();
    while (this.count < count) {
      const page = await this.#redis.xrange(this.stream, '-', '+', 'COUNT', 2_000);
      for (const [, fields] of page) {
        const value = (name: string): string => fields[fields.indexOf(name) + 1] ?? '';
        const [id, seq, payload] = [value('aggregate_id'), value('seq'), value('payload')];
        if (id !== String(this.count) || seq !== id)
          throw new Error(`event ${id}, ordinal ${seq}, instead of ${this.count}`);
        if (payload.length !== HUGE.payloadBytes + 2)
          throw new Error(`event ${id} has ${payload.length} bytes`);
        this.count += 1;
      }
      if (page.length > 0) {
        await this.#redis.xdel(this.stream, ...page.map(([id]) => id));
        lastMs = performance.now();
      } else {
        if (performance.now() - lastMs > 120_000)
          throw new Error(`no event after ${this.count} for two minutes`);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    context.note(`${this.count} events read`);
  }
}

/** The most that the process ever had resident. */
function peakBytes(daemon: Daemon): number {
  const [, kilobytes = '0'] =
    /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}

async function prepared(context: RowContext): Promise<void> {
  const postgres = await context.startPostgres({ settings: { max_prepared_transactions: '5' } });
  const scene = await context.openScene({ postgres });
  let daemon = await scene.startStreaming();
  const insert = (type: string): string =>
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT '${type}', n::text, 'created', '{}' FROM generate_series(1, 25) n;`;
  await scene.outbox.query(`BEGIN; ${insert('prepared')} PREPARE TRANSACTION 'kept'`);
  await scene.outbox.query(`BEGIN; ${insert('undone')} PREPARE TRANSACTION 'undone'`);
  scene.startWorkload();
  await waitForEvents(daemon, context.random.int(200, 600));
  const fault = context.fault('kill -9 of Postgres and of the relay', { isKill: true });
  await Promise.all([postgres.kill(), daemon.kill()]);
  await postgres.start();
  fault.over();
  daemon = await scene.startStreaming();
  await scene.recover(daemon, fault);
  const early = await scene.outbox.redis.exists(scene.outbox.stream('prepared'));
  if (early !== 0) throw new Error('a prepared transaction was delivered before its commit');
  await waitFor('the commit', () => scene.outbox.query("COMMIT PREPARED 'kept'").then(() => true));
  await scene.outbox.query("ROLLBACK PREPARED 'undone'");
  await scene.recover(daemon, context.fault('COMMIT PREPARED'));
  await scene.settle(daemon);
  const [kept, undone] = await Promise.all([
    scene.outbox.redis.xlen(scene.outbox.stream('prepared')),
    scene.outbox.redis.xlen(scene.outbox.stream('undone')),
  ]);
  if (kept !== 25 || undone !== 0) throw new Error(`${kept} of 25 prepared events, ${undone} of a rollback`);
}
