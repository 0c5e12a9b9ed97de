import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { Client, Pool, type QueryResultRow } from 'pg';
import { Daemon, type DaemonOptions, type Env, runCli } from './cli.ts';
import { openRedis } from './open-redis.ts';
import { waitFor } from './wait-for.ts';

export interface OutboxOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** False: the test runs `init` itself. */
  readonly isInitialized?: boolean;
  readonly env?: Env;
  /** True: the Redis goes with the test, and nothing in it needs to be removed. */
  readonly isRedisOwn?: boolean;
  /** The URL names a node of a cluster: `redis` then reaches all of it. */
  readonly isRedisCluster?: boolean;
  /** Of the database; else the cluster's, UTF8. */
  readonly encoding?: 'SQL_ASCII' | 'LATIN1' | undefined;
}

/**
 * A database, slot, key prefix and lane of a test's own, on servers that others use too. Everything goes with
 * dispose, also the daemons that it started.
 */
export class Outbox implements AsyncDisposable {
  readonly name: string;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  /** Connected as a superuser to the test's own database. */
  readonly pool: Pool;
  readonly redis: Redis;
  readonly env: Env;
  readonly #adminUrl: string;
  readonly #daemons: Daemon[] = [];
  readonly #isRedisOwn: boolean;

  private constructor(options: OutboxOptions, name: string) {
    this.name = name;
    this.#adminUrl = options.databaseUrl;
    const url = new URL(options.databaseUrl);
    url.pathname = `/${name}`;
    this.databaseUrl = url.href;
    this.redisUrl = options.redisUrl;
    this.#isRedisOwn = options.isRedisOwn ?? false;
    this.pool = new Pool({ connectionString: this.databaseUrl, max: 20 });
    // A server that a test kills takes idle connections along.
    this.pool.on('error', () => undefined);
    this.redis = openRedis(options.redisUrl, options.isRedisCluster === true);
    this.env = {
      DATABASE_URL: this.databaseUrl,
      REDIS_URL: options.redisUrl,
      WALRELAY_SLOT: name,
      WALRELAY_STREAM: `${name}.\${aggregatetype}`,
      WALRELAY_WATCH_INTERVAL_MS: '100',
      WALRELAY_BACKOFF_MAX_MS: '500',
      // A test that waits for a confirmation would wait for the window too.
      WALRELAY_REPLAY_WINDOW_MS: '0',
      ...options.env,
    };
  }

  static async create(options: OutboxOptions): Promise<Outbox> {
    const name = `wr_${randomBytes(5).toString('hex')}`;
    const encoding =
      options.encoding === undefined ? '' : ` TEMPLATE template0 ENCODING '${options.encoding}'`;
    await withAdmin(options.databaseUrl, (client) => client.query(`CREATE DATABASE ${name}${encoding}`));
    const outbox = new Outbox(options, name);
    if (options.isInitialized !== false) await outbox.init('--create-table');
    return outbox;
  }

  get metaKey(): string {
    return this.env['WALRELAY_META_KEY'] ?? `walrelay:${this.name}`;
  }

  async init(...args: string[]): Promise<void> {
    const result = await runCli(['init', ...args], this.env);
    if (result.exitCode !== 0) throw new Error(`init exited with ${result.exitCode}: ${result.stderr}`);
  }

  /** Starts a relay; `env` comes on top of the test's own. */
  start(env: Env = {}, options: DaemonOptions = {}): Daemon {
    const daemon = Daemon.start({ ...this.env, ...env }, options);
    this.#daemons.push(daemon);
    return daemon;
  }

  async query<Row extends QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]> {
    return (await this.pool.query<Row>(sql, values)).rows;
  }

  /** Inserts one event and returns its id. */
  async insert(
    event: { aggregateType?: string; aggregateId?: string; type?: string; payload?: string } = {},
  ): Promise<string> {
    const [row] = await this.query<{ id: string }>(
      'INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ($1, $2, $3, $4) RETURNING id',
      [
        event.aggregateType ?? 'order',
        event.aggregateId ?? '1',
        event.type ?? 'created',
        event.payload ?? '{}',
      ],
    );
    if (row === undefined) throw new Error('the insert returned nothing');
    return row.id;
  }

  stream(aggregateType = 'order'): string {
    return `${this.name}.${aggregateType}`;
  }

  async confirmedLsn(): Promise<string> {
    const [row] = await this.query<{ lsn: string }>(
      'SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = $1',
      [this.name],
    );
    if (row === undefined) throw new Error('the slot is gone');
    return row.lsn;
  }

  /** Waits until the slot is confirmed up to where the WAL ends now. */
  async waitUntilConfirmed(timeoutMs?: number): Promise<void> {
    const [row] = await this.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
    await waitFor(
      `the slot to be confirmed up to ${row?.lsn}`,
      async () => {
        const [slot] = await this.query<{ isConfirmed: boolean }>(
          'SELECT confirmed_flush_lsn >= $2::pg_lsn AS "isConfirmed" FROM pg_replication_slots WHERE slot_name = $1',
          [this.name, row?.lsn],
        );
        return slot?.isConfirmed === true;
      },
      timeoutMs,
    );
  }

  async waitForLength(stream: string, length: number, timeoutMs?: number): Promise<void> {
    await waitFor(
      `${length} entries in ${stream}`,
      async () => (await this.redis.xlen(stream)) >= length,
      timeoutMs,
    );
  }

  /** Kills the relays and closes the connections; for servers that are thrown away, or that may not answer. */
  async abandon(): Promise<void> {
    for (const daemon of this.#daemons) await daemon[Symbol.asyncDispose]();
    await this.pool.end();
    this.redis.disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const daemon of this.#daemons) await daemon[Symbol.asyncDispose]();
    await this.pool.end();
    if (!this.#isRedisOwn) {
      const keys = [
        ...(await this.redis.keys(`${this.name}.*`)),
        ...(await this.redis.keys(`${this.metaKey}:dead-letters*`)),
      ];
      // One by one: on a cluster they belong to different nodes.
      for (const key of [this.metaKey, `${this.metaKey}:streams`, `${this.metaKey}:names`, ...keys])
        await this.redis.del(key);
    }
    this.redis.disconnect();
    await withAdmin(this.#adminUrl, async (client) => {
      await waitFor('the slot to be free', async () => {
        const slots = await client.query(
          'SELECT 1 FROM pg_replication_slots WHERE database = $1 AND active',
          [this.name],
        );
        return slots.rowCount === 0;
      });
      await client.query(
        'SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = $1',
        [this.name],
      );
      await client.query(`DROP DATABASE IF EXISTS ${this.name} WITH (FORCE)`);
    });
  }
}

async function withAdmin<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  // What goes wrong is thrown by the query; a connection that breaks afterwards is nobody's concern.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
