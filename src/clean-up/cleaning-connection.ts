import { Client, type ClientConfig } from 'pg';
import { WalrelayError } from '../core/walrelay-error.ts';
import { postgresError } from '../source/postgres-error.ts';

/** A row as Postgres rendered it. */
export type TextRow = readonly (string | null)[];

/**
 * The clean-up's own connection: what it does may wait for nobody for long, and nobody for it. A delete that a crash of
 * Postgres undoes is done again, so no commit here waits for a disk or a standby.
 */
export class CleaningConnection {
  readonly #client: Client;
  #isOver = false;

  private constructor(client: Client) {
    this.#client = client;
    // A connection that ends between two looks fails the next one.
    client.on('error', () => {
      this.#isOver = true;
    });
    client.on('end', () => {
      this.#isOver = true;
    });
  }

  static async open(config: ClientConfig): Promise<CleaningConnection> {
    const client = new Client({
      ...config,
      query_timeout: QUERY_TIMEOUT_MS,
      types: { getTypeParser: () => (value: string) => value },
    });
    const connection = new CleaningConnection(client);
    try {
      await client.connect();
      await client.query(SESSION_SQL);
    } catch (error) {
      connection.destroy();
      throw postgresError(error, 'connecting');
    }
    return connection;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async rows(sql: string): Promise<readonly TextRow[]> {
    try {
      return (await this.#client.query<(string | null)[]>({ text: sql, rowMode: 'array' })).rows;
    } catch (error) {
      throw cleaningFailure(error);
    }
  }

  /** How many rows the statement changed. */
  async change(sql: string): Promise<number> {
    try {
      return (await this.#client.query(sql)).rowCount ?? 0;
    } catch (error) {
      throw cleaningFailure(error);
    }
  }

  /** All of it or nothing. */
  async inTransaction<T>(work: () => Promise<T>): Promise<T> {
    await this.change('BEGIN');
    try {
      const result = await work();
      await this.change('COMMIT');
      return result;
    } catch (error) {
      await this.change('ROLLBACK').catch(() => this.destroy());
      throw error;
    }
  }

  destroy(): void {
    this.#isOver = true;
    this.#client.end().catch(() => {});
  }
}

/** Rows that a policy hides must be an error: else they would stay for ever, and nobody would know why. */
const SESSION_SQL = [
  "SET lock_timeout = '200ms'",
  "SET statement_timeout = '60s'",
  "SET idle_in_transaction_session_timeout = '60s'",
  'SET synchronous_commit = off',
  'SET row_security = off',
  // Bounds of partitions are read as they are written.
  "SET DateStyle = 'ISO, YMD'",
  // Rows are found by their places: whoever reads all of the table to find a thousand is wrong.
  'SET enable_hashjoin = off',
  'SET enable_mergejoin = off',
].join(';');
const QUERY_TIMEOUT_MS = 70_000;

function cleaningFailure(thrown: unknown): WalrelayError {
  const error = postgresError(thrown, 'cleaning');
  const sqlState = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const special = SPECIAL[sqlState];
  if (special === undefined) return error;
  return new WalrelayError(special.code, error.message, { cause: thrown, hint: special.hint });
}

/** Here they are about the table. */
const SPECIAL: Readonly<
  Record<string, { readonly code: 'PG_BUSY' | 'PUBLICATION_UNSUITABLE'; readonly hint: string }>
> = {
  '55P03': {
    code: 'PG_BUSY',
    hint: 'None needed: somebody has locked the table, or uses it in a long transaction; it is tried again.',
  },
  '40P01': { code: 'PG_BUSY', hint: 'None needed: it is tried again.' },
  '55000': {
    code: 'PUBLICATION_UNSUITABLE',
    hint: "A publication sends deletes of a table without replica identity: ALTER PUBLICATION … SET (publish = 'insert'); or give the table a primary key.",
  },
};
