import { Client, type QueryResultRow } from 'pg';
import { postgresError } from '../source/postgres-error.ts';

/**
 * The bench's own connection to the database. It counts its statements, so that they can be taken off what a relay
 * is said to have caused.
 */
export class ControlPostgres {
  readonly #client: Client;
  #statements = 0;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async open(databaseUrl: string): Promise<ControlPostgres> {
    const client = new Client({
      connectionString: databaseUrl,
      application_name: 'walrelay-bench',
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
    });
    // A lost connection fails the query that comes next; by itself it must not end the process before the clean-up.
    client.on('error', () => undefined);
    try {
      await client.connect();
      await client.query(
        "SET client_min_messages = warning; SET statement_timeout = 0; SET lock_timeout = '10s'",
      );
    } catch (error) {
      throw postgresError(error, 'connecting');
    }
    return new ControlPostgres(client);
  }

  /** Statements sent so far: each was a transaction of its own. */
  get statements(): number {
    return this.#statements;
  }

  async query<Row extends QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]> {
    this.#statements += 1;
    try {
      const result = await this.#client.query<Row>(sql, values);
      return result.rows;
    } catch (error) {
      throw postgresError(error, 'querying');
    }
  }

  /** True when it was done; false when the role may not, or the server can't. */
  async attempt(sql: string): Promise<boolean> {
    this.#statements += 1;
    try {
      await this.#client.query(sql);
      return true;
    } catch {
      return false;
    }
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }
}

/** A connection for a moment. */
export async function withPostgres<T>(
  databaseUrl: string,
  work: (postgres: ControlPostgres) => Promise<T>,
): Promise<T> {
  const postgres = await ControlPostgres.open(databaseUrl);
  try {
    return await work(postgres);
  } finally {
    await postgres.close();
  }
}
