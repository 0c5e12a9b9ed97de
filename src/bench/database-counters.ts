import { setTimeout as sleep } from 'node:timers/promises';
import type { DatabaseCost } from './bench-report.ts';
import type { ControlPostgres } from './control-postgres.ts';

/** What the database has counted so far, without what the bench itself asked. */
export interface DatabaseCounters {
  readonly transactions: number;
  /** From pg_stat_statements; undefined where it is not installed. */
  readonly statements: number | undefined;
  readonly buffersHit: number;
  readonly buffersRead: number;
  readonly walBytes: number;
  /** Row versions of the run's tables that were updated or deleted: each is left for VACUUM. */
  readonly deadTuples: number;
}

/** A backend reports its counters at most once a second. */
const REPORT_INTERVAL_MS = 1000;

/** How this server can be asked; found out once. */
export class DatabaseCounterReader {
  readonly #postgres: ControlPostgres;
  readonly #schema: string;
  readonly #canFlush: boolean;
  readonly #hasStatements: boolean;

  private constructor(postgres: ControlPostgres, schema: string, canFlush: boolean, hasStatements: boolean) {
    this.#postgres = postgres;
    this.#schema = schema;
    this.#canFlush = canFlush;
    this.#hasStatements = hasStatements;
  }

  static async open(postgres: ControlPostgres, schema: string): Promise<DatabaseCounterReader> {
    const canFlush = await postgres.attempt('SELECT pg_stat_force_next_flush()');
    const hasStatements = await postgres.attempt('SELECT 1 FROM pg_stat_statements LIMIT 1');
    return new DatabaseCounterReader(postgres, schema, canFlush, hasStatements);
  }

  get hasStatements(): boolean {
    return this.#hasStatements;
  }

  async read(): Promise<DatabaseCounters> {
    // What we ourselves have not reported yet would count later, against somebody else.
    if (this.#canFlush) await this.#postgres.query('SELECT pg_stat_force_next_flush()');
    else await sleep(REPORT_INTERVAL_MS);
    const own = this.#postgres.statements;
    const [row] = await this.#postgres.query<Record<string, string>>(
      `SELECT xact_commit AS transactions, blks_hit AS hit, blks_read AS read,
        pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS wal,
        ${this.#hasStatements ? '(SELECT sum(calls) FROM pg_stat_statements WHERE dbid = datid)' : 'NULL'} AS statements,
        (SELECT coalesce(sum(n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables WHERE schemaname = $1) AS dead
       FROM pg_stat_database WHERE datname = current_database()`,
      [this.#schema],
    );
    const number = (name: string) => Number(row?.[name] ?? 0);
    return {
      transactions: number('transactions') - own,
      statements: this.#hasStatements ? number('statements') - own : undefined,
      buffersHit: number('hit'),
      buffersRead: number('read'),
      walBytes: number('wal'),
      deadTuples: number('dead'),
    };
  }
}

export function countersBetween(from: DatabaseCounters, to: DatabaseCounters): DatabaseCounters {
  return {
    transactions: to.transactions - from.transactions,
    statements:
      to.statements === undefined || from.statements === undefined
        ? undefined
        : to.statements - from.statements,
    buffersHit: to.buffersHit - from.buffersHit,
    buffersRead: to.buffersRead - from.buffersRead,
    walBytes: to.walBytes - from.walBytes,
    deadTuples: to.deadTuples - from.deadTuples,
  };
}

/** What so many times as much would have counted. */
export function scaled(counters: DatabaseCounters, factor: number): DatabaseCounters {
  return {
    transactions: counters.transactions * factor,
    statements: counters.statements === undefined ? undefined : counters.statements * factor,
    buffersHit: counters.buffersHit * factor,
    buffersRead: counters.buffersRead * factor,
    walBytes: counters.walBytes * factor,
    deadTuples: counters.deadTuples * factor,
  };
}

/**
 * What a run cost beyond `base`, the same load without any relay. Never below zero: two runs of one load differ by a
 * few buffers.
 */
export function databaseCost(
  run: DatabaseCounters,
  base: DatabaseCounters | undefined,
  seconds: number,
): DatabaseCost {
  const net = (value: number, baseValue: number | undefined) =>
    Math.max(0, Math.round(value - (baseValue ?? 0)));
  const transactions = net(run.transactions, base?.transactions);
  const queries = run.statements === undefined ? transactions : net(run.statements, base?.statements);
  return {
    transactions,
    transactionsPerSecond: perSecond(transactions, seconds),
    queriesPerSecond: perSecond(queries, seconds),
    buffersHit: net(run.buffersHit, base?.buffersHit),
    buffersRead: net(run.buffersRead, base?.buffersRead),
    walBytes: net(run.walBytes, base?.walBytes),
    deadTuples: net(run.deadTuples, base?.deadTuples),
  };
}

function perSecond(count: number, seconds: number): number {
  return seconds === 0 ? 0 : Number((count / seconds).toFixed(1));
}
