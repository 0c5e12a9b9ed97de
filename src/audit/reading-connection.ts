import { Client, type ClientConfig } from 'pg';
import type { ErrorCode } from '../core/error-codes.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { postgresError } from '../source/postgres-error.ts';

/** A row as Postgres rendered it. */
export type TextRow = readonly (string | null)[];

/**
 * A connection to Postgres that only reads, in short transactions: nothing here holds a snapshot for longer than it
 * takes to fetch one slice.
 */
export class ReadingConnection implements AsyncDisposable {
  readonly #client: Client;
  #cursors = 0;

  private constructor(client: Client) {
    this.#client = client;
    // A connection that ends between two queries fails the next one.
    client.on('error', () => {});
  }

  static async open(config: ClientConfig): Promise<ReadingConnection> {
    const client = new Client({ ...config, types: { getTypeParser: () => asIs } });
    try {
      await client.connect();
      await client.query(SESSION_SQL);
    } catch (error) {
      client.end().catch(() => {});
      throw postgresError(error, 'connecting');
    }
    return new ReadingConnection(client);
  }

  async rows(sql: string, values: readonly unknown[] = []): Promise<TextRow[]> {
    try {
      const query = { text: sql, values: [...values], rowMode: 'array' as const };
      return (await this.#client.query<(string | null)[]>(query)).rows;
    } catch (error) {
      throw readingFailure(error);
    }
  }

  /** The first value of the first row. */
  async text(sql: string, values: readonly unknown[] = []): Promise<string | null> {
    return (await this.rows(sql, values))[0]?.[0] ?? null;
  }

  /** The rows of one statement, `pageRows` at a time, in a snapshot that is held until the last one was taken. */
  async *pages(sql: string, pageRows: number): AsyncGenerator<TextRow[]> {
    this.#cursors += 1;
    const cursor = `walrelay_${this.#cursors}`;
    await this.rows('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    try {
      await this.rows(`DECLARE ${cursor} NO SCROLL CURSOR FOR ${sql}`);
      for (;;) {
        const page = await this.rows(`FETCH ${pageRows} FROM ${cursor}`);
        if (page.length > 0) yield page;
        if (page.length < pageRows) break;
      }
    } finally {
      await this.rows('COMMIT').catch(() => {});
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end().catch(() => {});
  }
}

/** A process that freezes, or a statement that nobody expected to take so long, lets go of its snapshot. */
const SESSION_SQL = [
  'SET default_transaction_read_only = on',
  "SET statement_timeout = '300s'",
  "SET lock_timeout = '10s'",
  "SET idle_in_transaction_session_timeout = '300s'",
  "SET application_name = 'walrelay audit'",
  "SET bytea_output = 'hex'",
].join(';');

function readingFailure(thrown: unknown): WalrelayError {
  const error = postgresError(thrown, 'querying');
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const special = SPECIAL[code];
  if (special === undefined) return error;
  return new WalrelayError(special, error.message, {
    cause: thrown,
    ...(special === 'CONFIG_INVALID' ? { hint: 'Give ids as the id column of the table has them.' } : {}),
  });
}

/** Here they are about the table, or about an id that somebody typed. */
const SPECIAL: Readonly<Record<string, ErrorCode>> = {
  '22P02': 'CONFIG_INVALID',
  '42703': 'COLUMN_MISSING',
  '42704': 'PG_REFUSED',
  '42P01': 'TABLE_MISSING',
};

function asIs(value: string): string {
  return value;
}
