import { randomBytes } from 'node:crypto';
import { quoteIdentifier } from '../source/sql.ts';
import { namesOfRun, type RunNames } from './bench-names.ts';
import type { ControlPostgres } from './control-postgres.ts';
import type { ControlRedis } from './control-redis.ts';
import { databaseIdentity } from './database-identity.ts';
import { TABLE_NAME, backlogProcedureSql } from './load-backlog.ts';
import { removeRun } from './leftovers.ts';

const MARKER_SECONDS = 300;
const MARKER_RENEW_MS = 30_000;

/**
 * What a run owns on the servers: a schema with the outbox table, a key prefix, and the lock that says that it lives.
 * Removed as a whole by `close`; after a crash by the next run, which finds it by its names.
 */
export class BenchGround {
  readonly names: RunNames;
  readonly #postgres: ControlPostgres;
  readonly #redis: ControlRedis;
  readonly #renewal: NodeJS.Timeout;

  private constructor(
    names: RunNames,
    postgres: ControlPostgres,
    redis: ControlRedis,
    renewal: NodeJS.Timeout,
  ) {
    this.names = names;
    this.#postgres = postgres;
    this.#redis = redis;
    this.#renewal = renewal;
  }

  static async open(postgres: ControlPostgres, redis: ControlRedis): Promise<BenchGround> {
    const names = namesOfRun(randomBytes(4).toString('hex'));
    // The lock comes first: whatever is found of a run whose lock is free may be removed.
    await postgres.query('SELECT pg_advisory_lock($1, $2)', [...names.lockKeys]);
    const owner = await databaseIdentity(postgres);
    const renew = async () => await redis.setForSeconds(names.markerKey, owner, MARKER_SECONDS);
    await renew();
    const renewal = setInterval(() => void renew().catch(() => undefined), MARKER_RENEW_MS);
    renewal.unref();
    const ground = new BenchGround(names, postgres, redis, renewal);
    try {
      await postgres.query(`CREATE SCHEMA ${quoteIdentifier(names.name)}`);
      await postgres.query(backlogProcedureSql(names.name));
    } catch (error) {
      await ground.close();
      throw error;
    }
    return ground;
  }

  /** An empty outbox in place of the one before, with everything that depended on it gone. */
  async freshTable(): Promise<void> {
    const table = `${quoteIdentifier(this.names.name)}.${quoteIdentifier(TABLE_NAME)}`;
    await this.#postgres.query(`DROP TABLE IF EXISTS ${table} CASCADE`);
    await this.#postgres.query(`CREATE TABLE ${table} (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      aggregatetype text NOT NULL,
      aggregateid text NOT NULL,
      type text NOT NULL,
      payload jsonb NOT NULL,
      created_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )`);
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal);
    await removeRun({ postgres: this.#postgres, redis: this.#redis }, this.names);
    await this.#postgres.attempt(`SELECT pg_advisory_unlock(${this.names.lockKeys.join(', ')})`);
  }
}
