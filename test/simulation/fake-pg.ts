import { FakePostgresClient, type Query, type QueryResult } from './fake-postgres-client.ts';

/** Stands in for the package pg: the ordinary connection of the catalog watch. */
export class Client extends FakePostgresClient {
  readonly #queryTimeoutMs: number;

  constructor(config: { readonly query_timeout?: number }) {
    super('watch');
    this.#queryTimeoutMs = config.query_timeout ?? 0;
  }

  override async query(sql: Query): Promise<QueryResult> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('Query read timeout')), this.#queryTimeoutMs);
    });
    try {
      return await Promise.race([super.query(sql), late]);
    } finally {
      clearTimeout(timer);
    }
  }
}
