import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { quoteIdentifier } from '../source/sql.ts';
import type { WriterCost, WriterReport } from './bench-report.ts';
import { type ControlPostgres, withPostgres } from './control-postgres.ts';
import { seededRandom, shuffled } from './seeded-random.ts';

/**
 * What an event costs whoever writes it, and the database, by where it is written: into a table, into one that is cleaned up, or
 * as a logical message. The same small transaction each time, an UPDATE and the event, and once without an event. All of them
 * take turns in short rounds, so that whatever else the server does meets each alike.
 */
export async function measureWriters(ground: WriterGround): Promise<WriterReport> {
  const { databaseUrl, schema, seed, seconds, signal } = ground;
  return await withPostgres(databaseUrl, async (postgres) => {
    const canEmit = await postgres.attempt(`SELECT pg_logical_emit_message(true, '${PREFIX}', '{}')`);
    const writers = writersIn(schema, canEmit);
    for (const { setUp } of writers) for (const sql of setUp) await postgres.query(sql);
    // Full images of pages that a checkpoint makes due would count for whoever comes first.
    await postgres.attempt('CHECKPOINT');
    const tallies = writers.map((writer) => ({ writer, count: 0, walBytes: 0, times: [] as number[] }));
    const random = seededRandom(seed);
    const endMs = performance.now() + seconds * 1000;
    for (let round = 0; round <= ROUNDS_MAX && (round <= 1 || performance.now() < endMs); round += 1) {
      if (signal.aborted) break;
      for (const tally of shuffled(tallies, random)) {
        const before = await walPosition(postgres);
        const times = await writeRound(postgres, tally.writer, schema);
        for (const sql of tally.writer.after) await postgres.query(sql);
        // The first round warms plans and caches up.
        if (round === 0) continue;
        tally.walBytes += (await walPosition(postgres)) - before;
        tally.count += times.length;
        tally.times.push(...times);
      }
    }
    const base = tallies.find(({ writer }) => writer.id === 'none');
    await reportCounters(postgres);
    const costs: WriterCost[] = [];
    for (const { writer, count, walBytes, times } of tallies) {
      if (count === 0 || base === undefined) continue;
      costs.push({
        id: writer.id,
        name: writer.name,
        transactions: count,
        transactionMs: median(times),
        timesNone: median(times) / median(base.times),
        walBytesPerEvent: Math.round(walBytes / count - base.walBytes / base.count),
        // The table has the rows of the first round as well.
        ...(await tableCost(postgres, writer.table, count + ROUND_EVENTS)),
      });
    }
    const notes = canEmit
      ? []
      : ['Messages were not measured: this role may not call pg_logical_emit_message.'];
    return { payloadBytes: PAYLOAD.length, costs, notes };
  });
}

export interface WriterGround {
  readonly databaseUrl: string;
  readonly schema: string;
  readonly seed: number;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

interface Writer {
  readonly id: WriterCost['id'];
  readonly name: string;
  /** Quoted. */
  readonly table: string | null;
  readonly setUp: readonly string[];
  /** Null: there is no event. */
  readonly event: { readonly sql: string; readonly values: (n: number) => unknown[] } | null;
  /** At the end of each round. */
  readonly after: readonly string[];
}

function writersIn(schema: string, canEmit: boolean): readonly Writer[] {
  const nameOf = (table: string) => `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
  const state = nameOf(STATE);
  const none: Writer = {
    id: 'none',
    name: 'no event',
    table: null,
    setUp: [
      `CREATE TABLE ${state} (id int PRIMARY KEY, n int NOT NULL) WITH (fillfactor = 50)`,
      `INSERT INTO ${state} SELECT n, 0 FROM generate_series(0, ${STATE_ROWS - 1}) n`,
    ],
    event: null,
    after: [],
  };
  const rows = (id: 'table' | 'cleaned', name: string): Writer => ({
    id,
    name,
    table: nameOf(id),
    setUp: [
      `CREATE TABLE ${nameOf(id)} (id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL,
        type text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now()) WITH (autovacuum_enabled = false)`,
    ],
    event: {
      sql: `INSERT INTO ${nameOf(id)} (id, aggregatetype, aggregateid, type, payload) VALUES ($1, $2, $3, $4, $5)`,
      values: (n) => [randomUUID(), 'order', `O-${n}`, 'order.created', PAYLOAD],
    },
    after: id === 'cleaned' ? [`DELETE FROM ${nameOf(id)}`] : [],
  });
  const messages: Writer = {
    id: 'messages',
    name: 'messages',
    table: null,
    setUp: [],
    event: {
      sql: `SELECT pg_logical_emit_message(true, '${PREFIX}', $1)`,
      values: (n) => [
        `{"id":"${randomUUID()}","aggregatetype":"order","aggregateid":"O-${n}","type":"order.created","payload":${PAYLOAD}}`,
      ],
    },
    after: [],
  };
  return [
    none,
    rows('table', 'a table'),
    rows('cleaned', 'a table, rows deleted'),
    ...(canEmit ? [messages] : []),
  ];
}

/** Milliseconds of each transaction. */
async function writeRound(postgres: ControlPostgres, { event }: Writer, schema: string): Promise<number[]> {
  const update = `UPDATE ${quoteIdentifier(schema)}.${quoteIdentifier(STATE)} SET n = n + 1 WHERE id = $1`;
  const times: number[] = [];
  for (let n = 0; n < ROUND_EVENTS; n += 1) {
    const values = event?.values(n);
    const fromMs = performance.now();
    await postgres.query('BEGIN');
    await postgres.query(update, [n % STATE_ROWS]);
    if (event !== null) await postgres.query(event.sql, values);
    await postgres.query('COMMIT');
    times.push(performance.now() - fromMs);
  }
  return times;
}

async function walPosition(postgres: ControlPostgres): Promise<number> {
  const [row] = await postgres.query<{ bytes: string }>(
    "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes",
  );
  return Number(row?.bytes);
}

/** What stays in a table, and what it takes to vacuum it once: for where nobody deletes, that marks its pages as done. */
async function tableCost(
  postgres: ControlPostgres,
  table: string | null,
  events: number,
): Promise<TableCost> {
  if (table === null)
    return { storedBytesPerEvent: 0, deadRowsPerEvent: 0, vacuumWalBytesPerEvent: 0, vacuumUsPerEvent: 0 };
  const [row] = await postgres.query<{ bytes: string; dead: string }>(
    `SELECT pg_total_relation_size(relid) AS bytes, n_tup_upd + n_tup_del AS dead
     FROM pg_stat_user_tables WHERE relid = $1::regclass`,
    [table],
  );
  const before = await walPosition(postgres);
  const fromMs = performance.now();
  await postgres.query(`VACUUM ${table}`);
  const vacuumMs = performance.now() - fromMs;
  return {
    storedBytesPerEvent: Math.round(Number(row?.bytes) / events),
    deadRowsPerEvent: Number((Number(row?.dead) / events).toFixed(2)),
    vacuumWalBytesPerEvent: Math.round(((await walPosition(postgres)) - before) / events),
    vacuumUsPerEvent: Number(((vacuumMs * 1000) / events).toFixed(2)),
  };
}

type TableCost = Pick<
  WriterCost,
  'storedBytesPerEvent' | 'deadRowsPerEvent' | 'vacuumWalBytesPerEvent' | 'vacuumUsPerEvent'
>;

/** A backend tells the counters of its tables at most once a second, unless it is asked to. */
async function reportCounters(postgres: ControlPostgres): Promise<void> {
  if (!(await postgres.attempt('SELECT pg_stat_force_next_flush()'))) await sleep(1500);
  await postgres.query('SELECT 1');
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

const PREFIX = 'walrelay_bench';
const STATE = 'writer_state';
const STATE_ROWS = 100;
const ROUND_EVENTS = 200;
/** More say nothing else. */
const ROUNDS_MAX = 20;
/** 200 bytes, as in the usual scenarios. */
const PAYLOAD = `{"order": 4711, "total": 12.50, "note": "${'x'.repeat(157)}"}`;
