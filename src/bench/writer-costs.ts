import { randomUUID } from 'node:crypto';
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
    const costs: WriterCost[] = [];
    for (const { writer, count, walBytes, times } of tallies) {
      if (count === 0 || base === undefined) continue;
      const { table } = writer;
      costs.push({
        id: writer.id,
        name: writer.name,
        transactions: count,
        transactionMs: median(times),
        timesNone: median(times) / median(base.times),
        walBytesPerEvent: Math.round(walBytes / count - base.walBytes / base.count),
        storedBytesPerEvent:
          table === null ? 0 : Math.round((await sizeOf(postgres, schema, table)) / (count + ROUND_EVENTS)),
        deadRowsPerEvent: writer.deadRowsPerEvent,
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
  readonly table: string | null;
  readonly setUp: readonly string[];
  /** Null: there is no event. */
  readonly event: { readonly sql: string; readonly values: (n: number) => unknown[] } | null;
  /** At the end of each round. */
  readonly after: readonly string[];
  readonly deadRowsPerEvent: number;
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
    deadRowsPerEvent: 0,
  };
  const rows = (id: 'table' | 'cleaned', name: string): Writer => ({
    id,
    name,
    table: id,
    setUp: [
      `CREATE TABLE ${nameOf(id)} (id uuid PRIMARY KEY, aggregatetype text NOT NULL, aggregateid text NOT NULL,
        type text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now())`,
    ],
    event: {
      sql: `INSERT INTO ${nameOf(id)} (id, aggregatetype, aggregateid, type, payload) VALUES ($1, $2, $3, $4, $5)`,
      values: (n) => [randomUUID(), 'order', `O-${n}`, 'order.created', PAYLOAD],
    },
    after: id === 'cleaned' ? [`DELETE FROM ${nameOf(id)}`] : [],
    deadRowsPerEvent: id === 'cleaned' ? 1 : 0,
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
    deadRowsPerEvent: 0,
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

async function sizeOf(postgres: ControlPostgres, schema: string, table: string): Promise<number> {
  const [row] = await postgres.query<{ bytes: string }>(
    'SELECT pg_total_relation_size($1::regclass) AS bytes',
    [`${quoteIdentifier(schema)}.${quoteIdentifier(table)}`],
  );
  return Number(row?.bytes);
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
const PAYLOAD = `{"order": 4711, "total": 12.50, "note": "${'x'.repeat(158)}"}`;
