import { Client, type ClientConfig } from 'pg';
import { createDeferred } from '../core/deferred.ts';
import type { WalrelayError } from '../core/walrelay-error.ts';
import { type Catalog, type CatalogNames, catalogSql, parseCatalog } from './catalog.ts';
import { postgresError } from './postgres-error.ts';

/**
 * An ordinary connection beside the stream. It sees what the stream can't say: a publication that was dropped or
 * changed (from version 18 on only the server's log would tell), a slot about to be lost, a server shutting down.
 */
export class CatalogWatch {
  readonly #client: Client;
  readonly #names: CatalogNames;
  readonly #versionNumber: number;
  #sql: string;
  #planName = 'catalog';
  readonly #ended = createDeferred<WalrelayError>();

  private constructor(client: Client, names: CatalogNames, versionNumber: number) {
    this.#client = client;
    this.#names = names;
    this.#versionNumber = versionNumber;
    this.#sql = catalogSql(names, versionNumber);
    client.on('error', (error) => this.#ended.resolve(postgresError(error, 'watching')));
    client.on('end', () =>
      this.#ended.resolve(postgresError(new Error('the connection was closed'), 'watching')),
    );
  }

  static async open(config: ClientConfig, names: CatalogNames, versionNumber: number): Promise<CatalogWatch> {
    const client = new Client({
      ...config,
      statement_timeout: STATEMENT_TIMEOUT_MS,
      query_timeout: QUERY_TIMEOUT_MS,
    });
    try {
      await client.connect();
    } catch (error) {
      throw postgresError(error, 'connecting');
    }
    return new CatalogWatch(client, names, versionNumber);
  }

  /** Resolves with the reason when the connection is over; PG_SHUTDOWN when the server said so. Never rejects. */
  get ended(): Promise<WalrelayError> {
    return this.#ended.promise;
  }

  async read(): Promise<Catalog> {
    try {
      // Named: the server plans it once. Planning costs more than answering, and it is asked every second.
      const result = await this.#client.query<{ catalog: string }>({ name: this.#planName, text: this.#sql });
      return parseCatalog(result.rows[0]?.catalog ?? '', this.#names);
    } catch (error) {
      throw postgresError(error, 'watching');
    }
  }

  /** Looks at these tables from now on, whatever they are called; null for one that is not there. */
  follow(tableOids: readonly (number | null)[]): void {
    const tables = this.#names.tables.map((table, place) => {
      const tableOid = tableOids[place] ?? null;
      return tableOid === null ? table : { ...table, tableOid };
    });
    this.#sql = catalogSql({ ...this.#names, tables }, this.#versionNumber);
    // Names of prepared statements are cut at 63 bytes.
    this.#planName = tableOids.length === 1 ? `catalog of ${tableOids[0]}` : 'catalog of several';
  }

  destroy(): void {
    this.#client.end().catch(() => {});
  }
}

const STATEMENT_TIMEOUT_MS = 10_000;
const QUERY_TIMEOUT_MS = 15_000;
