import { Socket } from 'node:net';
import type { Client, ClientConfig } from 'pg';
import { LogicalReplicationService } from 'pg-logical-replication';
import { createDeferred } from '../core/deferred.ts';
import { formatLsn, ZERO_LSN } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { CopyDataReader, type FrameHandler } from './copy-data-reader.ts';
import { FixedBufferSocket } from './fixed-buffer-socket.ts';
import { type PostgresPhase, postgresError } from './postgres-error.ts';
import { ReadPacer } from './read-pacer.ts';
import { quoteIdentifier } from './sql.ts';
import { encodeStatusUpdate, type StatusUpdate } from './status-update.ts';

/**
 * One replication connection, for one session: opened, asked by SQL while the guards run, then streaming until
 * it is destroyed. pg-logical-replication carries it (connect, authenticate, TLS, START_REPLICATION, errors).
 *
 * What that library must not do here, and why:
 * - acknowledge: it sends plus one, and the next transaction can be lost with it; auto off, timer off;
 * - resubscribe: it would start at what was *received*; one service per session, always from 0/0;
 * - parse and queue: we read CopyData in front of pg's parser, bytes to bytes.
 */
export class ReplicationConnection {
  readonly #service: LogicalReplicationService;
  readonly #client: Client;
  readonly #fixed: FixedBufferSocket | null;
  readonly #connection: WireConnection;
  readonly #pacer: ReadPacer;
  readonly #startWith: (sql: string) => void;
  readonly #ended: Promise<WalrelayError>;
  readonly #answerTimeoutMs: number;
  #isDestroyed = false;

  private constructor(
    service: LogicalReplicationService,
    client: Client,
    fixed: FixedBufferSocket | null,
    startWith: (sql: string) => void,
    ended: Promise<WalrelayError>,
    answerTimeoutMs: number,
  ) {
    this.#service = service;
    this.#client = client;
    this.#fixed = fixed;
    this.#connection = wireOf(client);
    this.#pacer = new ReadPacer(this.#connection.stream);
    this.#startWith = startWith;
    this.#ended = ended;
    this.#answerTimeoutMs = answerTimeoutMs;
  }

  /**
   * Connects and authenticates. Throws PG_UNREACHABLE, PG_AUTH, … A statement unanswered for `answerTimeoutMs`
   * throws PG_SILENT; 0, the default, waits for ever, as the creation of a slot may have to.
   */
  static async open(config: ClientConfig, answerTimeoutMs = 0): Promise<ReplicationConnection> {
    let fixed: FixedBufferSocket | null = null;
    let socket: Socket | null = null;
    const stream = ({ ssl }: { readonly ssl?: unknown }): Socket => {
      // TLS reads the socket by itself, and decrypts into buffers of its own.
      if (ssl !== undefined && ssl !== false) return (socket = new Socket());
      fixed = new FixedBufferSocket();
      return (socket = fixed.socket);
    };
    const service = new LogicalReplicationService(
      {
        ...config,
        stream: stream as () => Socket,
        // A walsender that waits for a lock does not notice that its client has gone: a limit of its own, a little
        // shorter than ours, or each attempt would leave one behind. It does not count for START_REPLICATION.
        ...(answerTimeoutMs === 0 ? {} : { statement_timeout: Math.ceil(answerTimeoutMs * 0.8) }),
      },
      {
        acknowledge: { auto: false, timeoutSeconds: 0 },
        flowControl: { enabled: false },
      },
    );
    // A client that could not connect is ended by the library before it says why; when TLS has failed, the client may wait
    // for ever for that end.
    const stop = service.stop.bind(service);
    service.stop = async () => service;
    const opened = createDeferred<Client>();
    const start = createDeferred<string>();
    let phase: PostgresPhase = 'connecting';
    const ended = createDeferred<WalrelayError>();
    const end = (thrown: unknown) => {
      const error = postgresError(thrown, phase);
      ended.resolve(error);
      opened.reject(error);
    };
    service.on('error', end);
    service.on('start', () => {
      phase = 'streaming';
    });
    const plugin = {
      name: 'pgoutput',
      options: {},
      parse: () => end(new WalrelayError('BUG', 'a CopyData went past our own reader')),
      // The library hands the client over here, connected; the statement comes when the guards are content.
      start: async (client: Client) => {
        phase = 'starting';
        opened.resolve(client);
        return client.query(await start.promise);
      },
    };
    service
      .subscribe(plugin as never, '', formatLsn(ZERO_LSN))
      .then(() => end(new Error('the server ended the stream')), end);
    const client = await opened.promise.catch((error: unknown) => {
      socket?.destroy();
      throw error;
    });
    service.stop = stop;
    // A socket that ends without a protocol message reports itself only here.
    wireOf(client).stream.once('close', () => end(new Error('the connection was closed')));
    return new ReplicationConnection(service, client, fixed, start.resolve, ended.promise, answerTimeoutMs);
  }

  /** Resolves with the reason when the connection is over, for whatever reason. Never rejects. */
  get ended(): Promise<WalrelayError> {
    return this.#ended;
  }

  /** The server's process at the other end, as pg_replication_slots.active_pid names it; -1 while nobody knows. */
  get walSenderPid(): number {
    const { processID } = this.#client as { readonly processID?: number | null };
    return processID ?? -1;
  }

  /** Runs one statement over the simple protocol, before `start`. Values come as text. */
  async query(sql: string): Promise<Record<string, unknown>[]> {
    try {
      const result = await this.#answered(this.#client.query(sql));
      return result.rows;
    } catch (error) {
      throw postgresError(error, 'querying');
    }
  }

  /**
   * Starts streaming from the slot's own position (I7: always 0/0). Resolves when the server has switched to
   * streaming; rejects with what it said instead, e.g. SLOT_IN_USE.
   */
  async start(options: StartOptions): Promise<void> {
    const publication = quoteIdentifier(options.publication).replaceAll("'", "''");
    const sql =
      `START_REPLICATION SLOT ${quoteIdentifier(options.slot)} LOGICAL 0/0 ` +
      `(proto_version '1', publication_names '${publication}'${options.hasMessages === true ? ", messages 'true'" : ''})`;
    this.#readInFrontOfParser(options);
    const started = new Promise<void>((resolve) => this.#service.once('start', () => resolve()));
    const refused = this.#ended.then((error) => {
      throw error;
    });
    this.#startWith(sql);
    await this.#answered(Promise.race([started, refused]));
  }

  sendStatus(update: StatusUpdate): void {
    if (!this.#isDestroyed) this.#connection.sendCopyFromChunk(encodeStatusUpdate(update));
  }

  /** Stops reading the socket; the server is held back by TCP. Status updates still go out. */
  pause(): void {
    this.#pacer.hold();
  }

  resume(): void {
    this.#pacer.release();
  }

  /** Ends the connection at once; the walsender releases the slot as soon as it notices. */
  destroy(): void {
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#pacer.stop();
    // The client reports a lost connection as an error; after this there is nobody to tell.
    this.#service.on('error', () => {});
    this.#client.on('error', () => {});
    this.#connection.stream.destroy();
    this.#service.stop().catch(() => {});
  }

  /** Says goodbye (Terminate), so that the server needs no time to notice, then destroys. */
  async close(timeoutMs: number): Promise<void> {
    const stream = this.#connection.stream;
    // A server that terminated us may be gone already: then 'close' has been and never comes again.
    if (!stream.closed) {
      const closed = new Promise<void>((resolve) => stream.once('close', () => resolve()));
      this.#pacer.stop();
      stream.resume();
      this.#connection.end();
      const timer = setTimeout(() => this.destroy(), timeoutMs);
      await closed;
      clearTimeout(timer);
    }
    this.destroy();
  }

  /** A link that swallows everything reports nothing by itself: whoever waits for an answer needs a limit. */
  async #answered<T>(answer: Promise<T>): Promise<T> {
    const timeoutMs = this.#answerTimeoutMs;
    if (timeoutMs === 0) return answer;
    const late = createDeferred<never>();
    const timer = setTimeout(
      () => late.reject(new WalrelayError('PG_SILENT', `Postgres has not answered for ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      return await Promise.race([answer, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * From here on CopyData frames go to our reader, in place; every other frame goes on to pg's own parser, whole.
   * The connection is idle now (every query was answered), so no frame is split between the two.
   */
  #readInFrontOfParser(options: StartOptions): void {
    const stream = this.#connection.stream;
    const parsers = stream.listeners('data');
    stream.removeAllListeners('data');
    const reader = new CopyDataReader(
      {
        copyData: options.copyData,
        other: (frame) => {
          for (const parse of parsers) (parse as (chunk: Buffer) => void)(frame);
        },
        large: options.large,
      },
      options.rowBytesMax,
    );
    const read = (chunk: Buffer) => {
      if (this.#isDestroyed) return;
      // An exception here would be an uncaught one: it ends the session instead.
      try {
        const frameCount = reader.push(chunk);
        options.chunkEnd();
        // TLS hands over one record at a time: there a pause would hold up what has been read already.
        if (this.#fixed !== null) this.#pacer.read(frameCount, chunk.length, performance.now());
      } catch (error) {
        options.failed(error);
      }
    };
    if (this.#fixed !== null) this.#fixed.takeOver(read);
    else stream.on('data', read);
  }
}

export interface StartOptions extends Pick<FrameHandler, 'copyData' | 'large'> {
  readonly slot: string;
  readonly publication: string;
  /** Logical messages are asked for too: all of them, whatever their prefix. */
  readonly hasMessages?: boolean;
  /** The largest row to accept, in bytes. */
  readonly rowBytesMax: number;
  /** The bytes that had arrived are used up. */
  chunkEnd(): void;
  /** Decoding threw; nothing more is read after this. */
  failed(error: unknown): void;
}

/** The part of pg's client that its types leave out. */
interface WireConnection {
  readonly stream: Socket;
  sendCopyFromChunk(chunk: Buffer): void;
  end(): void;
}

function wireOf(client: Client): WireConnection {
  return (client as unknown as { connection: WireConnection }).connection;
}
