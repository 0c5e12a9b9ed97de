import { EventEmitter } from 'node:events';
import type { Link } from './link.ts';
import { SqlError } from './postgres-node.ts';
import { activeProcess } from './relay-process.ts';

/**
 * A connection to the simulated Postgres, with as much of pg's Client as src/source uses: statements, the stream of bytes behind
 * START_REPLICATION, and the errors that it reports.
 */
export class FakePostgresClient extends EventEmitter {
  readonly connection: {
    readonly stream: FakeStream;
    sendCopyFromChunk(chunk: Buffer): void;
    end(): void;
  };
  readonly #process = activeProcess();
  readonly #kind: 'postgres' | 'watch';
  #link: Link | null = null;
  /** Statements that wait for their answer, oldest first. */
  readonly #pending: { resolve(result: QueryResult): void; reject(error: Error): void }[] = [];
  #isEnding = false;

  constructor(kind: 'postgres' | 'watch') {
    super();
    this.#kind = kind;
    const stream = new FakeStream(() => this.#link);
    stream.on('data', (frame: Buffer) => this.#parse(frame));
    this.connection = {
      stream,
      sendCopyFromChunk: (chunk) => this.#sendStatus(chunk),
      end: () => this.#terminate(),
    };
  }

  connect(): Promise<void> {
    const { world } = this.#process;
    return new Promise((resolve, reject) => {
      const link = world.connectPostgres(this.#process, this.#kind);
      this.#link = link;
      link.clientClosed = () => reject(new Error('connect ECONNREFUSED'));
      link.saidFatal = (sqlState) => reject(new SqlError(sqlState, 'the database system is not up'));
      link.send('connect', () =>
        link.reply('connected', () => {
          link.clientClosed = () => this.#closed();
          link.saidFatal = (sqlState) => this.#fatal(sqlState);
          resolve();
        }),
      );
    });
  }

  query(query: Query): Promise<QueryResult> {
    const sql = typeof query === 'string' ? query : query.text;
    const link = this.#link;
    if (link === null || !link.isClientOpen) return Promise.reject(new Error('Connection terminated'));
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject });
      if (sql.startsWith('START_REPLICATION')) this.#start(link, sql);
      else this.#ask(link, sql);
    });
  }

  end(): Promise<void> {
    this.#isEnding = true;
    this.#terminate();
    return Promise.resolve();
  }

  #ask(link: Link, sql: string): void {
    const what = this.#process.world.isTracing ? sql.replaceAll(/\s+/g, ' ').trim().slice(0, 50) : '';
    link.send(what, () => {
      let rows: Record<string, unknown>[] = [];
      let error: SqlError | null = null;
      try {
        rows = this.#process.world.postgres.query(link, sql);
      } catch (thrown) {
        if (!(thrown instanceof SqlError)) throw thrown;
        error = thrown;
      }
      link.reply(what, () => {
        const statement = this.#pending.shift();
        if (error === null) statement?.resolve({ rows });
        else statement?.reject(error);
      });
    });
  }

  #start(link: Link, sql: string): void {
    const { world } = this.#process;
    link.send('START_REPLICATION', () => {
      try {
        world.startReplication(link, sql, (bytes) => this.connection.stream.emit('data', bytes));
      } catch (error) {
        if (!(error instanceof SqlError)) throw error;
        link.reply(`START_REPLICATION refused: ${error.code}`, () => this.#pending.shift()?.reject(error));
        return;
      }
      // In front of what the walsender sends.
      link.reply('CopyBothResponse', () => this.emit('replicationStart'));
    });
  }

  #sendStatus(chunk: Buffer): void {
    const link = this.#link;
    if (link === null || !link.isClientOpen) return;
    this.#process.world.statusSent(this.#process, link, chunk);
    link.send('status update', () => this.#process.world.postgres.statusUpdate(link, chunk));
  }

  #terminate(): void {
    const link = this.#link;
    link?.send('Terminate', () => link.closeByServer());
  }

  /** A frame that is no CopyData. */
  #parse(frame: Buffer): void {
    if (frame[0] === 0x45) {
      const sqlState = /\0C([^\0]*)\0/.exec(`\0${frame.toString('latin1', 5)}`)?.[1] ?? '';
      this.#fatal(sqlState);
    } else if (frame[0] === 0x63) {
      this.#pending.shift()?.resolve({ rows: [] });
    }
  }

  #fatal(sqlState: string): void {
    const error = new SqlError(sqlState, 'terminating connection');
    const active = this.#pending.shift();
    if (active === undefined) this.emit('error', error);
    else active.reject(error);
  }

  #closed(): void {
    const error = new Error('Connection terminated unexpectedly');
    for (const statement of this.#pending.splice(0)) statement.reject(error);
    if (!this.#isEnding) this.emit('error', error);
    this.emit('end');
    this.connection.stream.closeNow();
  }
}

/** The socket, as far as anybody looks at it. */
class FakeStream extends EventEmitter {
  closed = false;
  readonly #link: () => Link | null;

  constructor(link: () => Link | null) {
    super();
    this.#link = link;
  }

  pause(): void {
    const link = this.#link();
    if (link !== null) link.isPaused = true;
  }

  resume(): void {
    const link = this.#link();
    if (link !== null) link.isPaused = false;
  }

  destroy(): void {
    this.#link()?.closeByClient();
    queueMicrotask(() => this.closeNow());
  }

  closeNow(): void {
    if (this.closed) return;
    this.closed = true;
    this.emit('close');
  }
}

export type Query = string | { readonly text: string };

export interface QueryResult {
  readonly rows: Record<string, unknown>[];
}
