import { Client, type ClientConfig, type QueryConfig } from 'pg';
import { postgresError } from './postgres-error.ts';
import { quoteLiteral } from './sql.ts';

/** Values as Postgres rendered them, which is what a slot would send. */
export type TextRow = readonly (string | null)[];

/**
 * One ordinary connection that reads a table as of one moment, page by page through a cursor, whatever its size. It
 * writes nothing.
 */
export class SnapshotReader implements AsyncDisposable {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
    // Whoever waits for an answer is told by its query.
    client.on('error', () => {});
  }

  /** `isRaw`: the database says nothing about its bytes (SQL_ASCII). */
  static async open(config: ClientConfig, options: { readonly isRaw: boolean }): Promise<SnapshotReader> {
    const client = new Client({ ...config, types: { getTypeParser: () => asIs } });
    const reader = new SnapshotReader(client);
    try {
      await client.connect();
    } catch (error) {
      throw postgresError(error, 'connecting');
    }
    try {
      await reader.query(NO_LIMITS_SQL);
      // A policy that hides rows must be an error: hidden rows would count as never inserted.
      await reader.query('SET row_security = off');
      await reader.query('SET cursor_tuple_fraction = 1');
      await reader.query("SET bytea_output = 'hex'");
      if (options.isRaw) await reader.query("SET client_encoding TO 'SQL_ASCII'");
    } catch (error) {
      reader.destroy();
      throw error;
    }
    return reader;
  }

  /** Everything from here on is seen as of one moment: that of `snapshot`, which somebody exports now, or this one. */
  async begin(snapshot: string | null): Promise<void> {
    await this.query('BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    if (snapshot !== null) await this.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`);
    // A transaction has a moment of its own only from its first statement on.
    await this.query('SELECT 1');
  }

  async query(sql: string): Promise<readonly TextRow[]> {
    try {
      const result = await this.#client.query<(string | null)[]>({ text: sql, rowMode: 'array' });
      return result.rows;
    } catch (error) {
      throw postgresError(error, 'querying');
    }
  }

  /** One statement and no more, checked by the server; nothing of it is read. */
  async prepared(sql: string): Promise<void> {
    const query: QueryConfig & { readonly queryMode: 'extended' } = { text: sql, queryMode: 'extended' };
    try {
      await this.#client.query(query);
    } catch (error) {
      throw postgresError(error, 'querying');
    }
  }

  destroy(): void {
    this.#client.end().catch(() => {});
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.destroy();
  }
}

/** Reading a large table takes long, and publishing it longer. Not every version has all of these. */
export const NO_LIMITS_SQL = `SELECT set_config(name, '0', false) FROM pg_settings
  WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')`;

function asIs(value: string): string {
  return value;
}
