import { Client, type ClientConfig, type QueryArrayConfig } from 'pg';
import { createDeferred } from '../core/deferred.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { PolledTable } from './polled-table.ts';
import { pollingFailure } from './polling-failure.ts';
import { type ClaimFacts, claimSql, placeCount, sessionSql, settleSql, textArray } from './polling-sql.ts';

/** Values as Postgres rendered them: in front the row's place (ctid, and partition where there are some). */
export type ClaimedRow = readonly (string | null)[];

/**
 * One worker's connection to Postgres: claims, settles, commits. Statements are prepared, and those that belong
 * together leave in one write (pg's pipeline mode), so that a claim costs two round trips beside Redis.
 */
export class PollingConnection {
  readonly #client: Client;
  readonly #ended = createDeferred<WalrelayError>();
  #table: PolledTable | null = null;
  #facts: ClaimFacts = {
    isOrderUnique: false,
    isPartitioned: false,
    isRaw: false,
    columnTypes: new Map(),
    isExclusive: false,
  };
  #settleSql = '';

  private constructor(client: Client) {
    this.#client = client;
    client.on('error', (error) => this.#ended.resolve(pollingFailure(error, 'querying')));
    client.on('end', () =>
      this.#ended.resolve(new WalrelayError('PG_CONNECTION_LOST', 'the connection to Postgres was closed')),
    );
  }

  /** `queryTimeoutMs` bounds every query: a server that is silent for longer is gone. */
  static async open(config: ClientConfig, queryTimeoutMs: number): Promise<PollingConnection> {
    const client = new Client({
      ...config,
      query_timeout: queryTimeoutMs,
      pipeline: true,
      types: { getTypeParser: () => asIs },
    });
    const connection = new PollingConnection(client);
    try {
      await client.connect();
    } catch (error) {
      throw pollingFailure(error, 'connecting');
    }
    return connection;
  }

  /** Resolves with the reason when the connection is over. Never rejects. */
  get ended(): Promise<WalrelayError> {
    return this.#ended.promise;
  }

  /** Readies the session, and tries the settling statement on no row at all: what it lacks, it says now. */
  async prepare(
    table: PolledTable,
    facts: ClaimFacts,
    options: Omit<Parameters<typeof sessionSql>[0], 'isRaw'> & { readonly notified: () => void },
  ): Promise<void> {
    this.#table = table;
    this.#facts = facts;
    this.#settleSql = settleSql(table, facts);
    this.#client.on('notification', () => options.notified());
    await this.#query(sessionSql({ isRaw: facts.isRaw, ...options }));
    await this.settle([]);
  }

  /** The first value of the first row. */
  async readText(sql: string): Promise<string> {
    const { rows } = await this.#query(sql);
    return rows[0]?.[0] ?? '';
  }

  /** Begins a transaction and claims up to `limit` rows in it. */
  async claim(limit: number): Promise<readonly ClaimedRow[]> {
    if (this.#table === null) throw new WalrelayError('BUG', 'a claim before the session was prepared');
    const begun = this.#query('BEGIN');
    const claimed = this.#query({
      name: `claim ${limit}`,
      text: claimSql(this.#table, this.#facts, limit),
    });
    // Both are awaited: of two that fail, the second must not be left alone.
    const [{ rows }] = await Promise.all([claimed, begun]);
    return rows;
  }

  /** Deletes or marks rows of this claim. Rejects when Postgres did that to fewer than all. */
  async settle(rows: readonly ClaimedRow[]): Promise<void> {
    const places = Array.from({ length: placeCount(this.#facts) }, (_, place) =>
      textArray(rows.map((row) => row[place] ?? '')),
    );
    const { rowCount } = await this.#query({ name: 'settle', text: this.#settleSql, values: places });
    if (rowCount === rows.length) return;
    const what = this.#table?.markColumn === null ? 'deleted' : 'marked';
    throw new WalrelayError(
      'ROWS_NOT_SETTLED',
      `Postgres ${what} ${rowCount ?? 0} of ${rows.length} published rows: a trigger, rule or policy of the table keeps the others`,
    );
  }

  async commit(): Promise<void> {
    const { command } = await this.#query('COMMIT');
    // Postgres answers the COMMIT of a transaction that has failed with a ROLLBACK, and with no error.
    if (command !== 'COMMIT') throw new WalrelayError('PG_REFUSED', 'Postgres rolled the claim back');
  }

  /** Ends the connection. What it had claimed and not committed is free again. */
  destroy(): void {
    this.#client.end().catch(() => {});
  }

  async #query(query: string | Omit<QueryArrayConfig<string[]>, 'rowMode'>): Promise<RawResult> {
    const config = typeof query === 'string' ? { text: query } : query;
    try {
      return await this.#client.query<(string | null)[]>({ ...config, rowMode: 'array' });
    } catch (error) {
      throw pollingFailure(error, 'querying');
    }
  }
}

interface RawResult {
  readonly rows: readonly ClaimedRow[];
  readonly rowCount: number | null;
  readonly command: string;
}

function asIs(value: string): string {
  return value;
}
