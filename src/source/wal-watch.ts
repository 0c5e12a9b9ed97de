import { Client, type ClientConfig } from 'pg';
import { WAL_END_SQL } from './catalog.ts';
import { postgresError } from './postgres-error.ts';
import { quoteLiteral } from './sql.ts';

/**
 * A connection of its own that looks at the slot, whatever the sessions do: WAL piles up exactly while none of them
 * streams. It is kept between looks, and opened again by the look that follows a failure.
 */
export class WalWatch {
  readonly #config: () => ClientConfig;
  readonly #sql: string;
  #client: Client | null = null;

  /** `config` is asked before each connection: what it holds may have been replaced. */
  constructor(config: () => ClientConfig, slot: string) {
    this.#config = config;
    this.#sql = `SELECT (wal.lsn - '0/0')::text AS wal_end, s.wal_status, s.safe_wal_size::text AS safe,
  (wal.lsn - s.restart_lsn)::text AS retained
FROM (SELECT ${WAL_END_SQL} AS lsn) wal, pg_replication_slots s WHERE s.slot_name = ${quoteLiteral(slot)}`;
  }

  /** Null when there is no such slot. Throws when the server can't be asked. */
  async look(): Promise<SlotWal | null> {
    const client = this.#client ?? (await this.#open());
    try {
      const { rows } = await client.query<RawSlotWal>(this.#sql);
      const row = rows[0];
      if (row === undefined) return null;
      return {
        walEndBytes: Number(row.wal_end),
        walStatus: row.wal_status,
        safeBytes: row.safe === null ? null : Number(row.safe),
        retainedBytes: row.retained === null ? null : Number(row.retained),
      };
    } catch (error) {
      this.destroy();
      throw postgresError(error, 'watching');
    }
  }

  destroy(): void {
    this.#client?.end().catch(() => {});
    this.#client = null;
  }

  async #open(): Promise<Client> {
    const client = new Client({
      ...this.#config(),
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
    });
    // A connection that breaks between two looks is no news: the sessions say so, and the next look opens another.
    client.on('error', () => this.#forget(client));
    client.on('end', () => this.#forget(client));
    try {
      await client.connect();
    } catch (error) {
      client.end().catch(() => {});
      throw postgresError(error, 'connecting');
    }
    this.#client = client;
    return client;
  }

  #forget(client: Client): void {
    if (this.#client === client) this.#client = null;
  }
}

export interface SlotWal {
  /** The end of the server's WAL, as a byte offset. */
  readonly walEndBytes: number;
  /** reserved, extended, unreserved or lost. */
  readonly walStatus: string | null;
  /** How much WAL may still be written before the slot is lost; null when there is no limit. */
  readonly safeBytes: number | null;
  readonly retainedBytes: number | null;
}

interface RawSlotWal {
  readonly wal_end: string;
  readonly wal_status: string | null;
  readonly safe: string | null;
  readonly retained: string | null;
}

const STATEMENT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 15_000;
