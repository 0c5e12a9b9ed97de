import { Client } from 'pg';
import { Random } from './chaos-random.ts';
import { CopyIn } from './chaos-copy-in.ts';

export interface WorkloadOptions {
  readonly databaseUrl: string;
  readonly seed: number;
  readonly writers?: number;
  /** The mean pause of a writer between two transactions. */
  readonly pauseMs?: number;
  /** Every so many transactions of a writer, one of 10,000 rows; 0: never. */
  readonly bigEvery?: number;
  readonly bigRows?: number;
  /** The longest payload text, bytes. */
  readonly payloadBytesMax?: number;
}

/**
 * Concurrent producers on the outbox table, each doing what applications do: single and multi-row inserts, COPY,
 * savepoints, rollbacks, huge transactions, deletes of what is old, and pairs of transactions that are open at once
 * and commit right behind each other. Draws what to do from a seed. Outlives a server that comes and goes; what was
 * committed is for the oracle to say.
 */
export class Workload {
  readonly done: Record<Operation, number> = {
    single: 0,
    multi: 0,
    copy: 0,
    savepoint: 0,
    rollback: 0,
    delete: 0,
    pair: 0,
    big: 0,
  };
  /** Transactions that ended in an error, e.g. since the server was gone. */
  failedCount = 0;
  readonly #options: Required<WorkloadOptions>;
  readonly #writers: Promise<void>[] = [];
  #isStopped = false;

  private constructor(options: WorkloadOptions) {
    this.#options = {
      writers: 8,
      pauseMs: 120,
      bigEvery: 100,
      bigRows: 10_000,
      payloadBytesMax: 50_000,
      ...options,
    };
  }

  static start(options: WorkloadOptions): Workload {
    const workload = new Workload(options);
    const seeds = new Random(options.seed);
    for (let writer = 0; writer < workload.#options.writers; writer += 1) {
      workload.#writers.push(workload.#write(writer, new Random(seeds.int(0, 0xffff_ffff))));
    }
    return workload;
  }

  get transactionCount(): number {
    return Object.values(this.done).reduce((sum, count) => sum + count, 0);
  }

  /** Resolves when every writer has finished its last transaction. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all(this.#writers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #write(number: number, random: Random): Promise<void> {
    const { databaseUrl, pauseMs, bigEvery, writers } = this.#options;
    const clients: Client[] = [];
    const disconnect = async () => {
      for (const client of clients.splice(0)) await client.end().catch(() => undefined);
    };
    for (let count = 1; !this.#isStopped; count += 1) {
      // Writers take turns with the large ones.
      const isBig = bigEvery > 0 && (count + Math.ceil((number * bigEvery) / writers)) % bigEvery === 0;
      const operation: Operation = isBig ? 'big' : random.pick(MIX);
      try {
        while (clients.length < 2) clients.push(await connect(databaseUrl));
        await this.#transact(operation, new Producer(random, this.#options, number), clients as Clients);
        this.done[operation] += 1;
      } catch {
        this.failedCount += 1;
        await disconnect();
        await sleep(50);
      }
      await sleep(random.int(0, 2 * pauseMs));
    }
    await disconnect();
  }

  async #transact(operation: Operation, producer: Producer, [client, other]: Clients): Promise<void> {
    const { random } = producer;
    switch (operation) {
      case 'single':
        await insert(client, [producer.row()]);
        return;
      case 'multi':
        await insert(client, producer.rows(random.int(2, 30)));
        return;
      case 'copy':
        await new CopyIn(
          `COPY outbox (${COLUMNS}) FROM STDIN`,
          copyText(producer.rows(random.int(1, 150))),
        ).run(client);
        return;
      case 'savepoint':
        await client.query('BEGIN');
        await insert(client, producer.rows(random.int(0, 3)));
        await client.query('SAVEPOINT a');
        await insert(client, producer.rows(random.int(1, 5)));
        await client.query('SAVEPOINT b');
        await insert(client, producer.rows(random.int(1, 5)));
        await client.query(random.next() < 0.5 ? 'ROLLBACK TO a' : 'RELEASE b');
        await insert(client, producer.rows(random.int(0, 3)));
        await client.query('COMMIT');
        return;
      case 'rollback':
        await client.query('BEGIN');
        await insert(client, producer.rows(random.int(1, 40)));
        await client.query('ROLLBACK');
        return;
      case 'delete':
        await client.query(
          'DELETE FROM outbox WHERE ctid IN (SELECT ctid FROM outbox ORDER BY created_at LIMIT 50)',
        );
        return;
      case 'pair':
        // The commit LSN of the second is then often the end LSN of the first.
        await Promise.all([client.query('BEGIN'), other.query('BEGIN')]);
        await Promise.all([insert(client, producer.rows(2)), insert(other, producer.rows(2))]);
        await Promise.all([client.query('COMMIT'), other.query('COMMIT')]);
        return;
      case 'big':
        await client.query(
          `INSERT INTO outbox (${COLUMNS})
           SELECT (ARRAY['order', 'customer', 'invoice'])[1 + n % 3], 'bulk-' || n % 97, 'imported',
             jsonb_build_object('n', n, 'text', repeat('é', n % 40))
           FROM generate_series(1, $1::int) n`,
          [this.#options.bigRows],
        );
        return;
    }
  }
}

export type Operation = 'single' | 'multi' | 'copy' | 'savepoint' | 'rollback' | 'delete' | 'pair' | 'big';

const MIX: readonly Operation[] = (
  [
    ['single', 30],
    ['multi', 18],
    ['copy', 6],
    ['savepoint', 12],
    ['rollback', 8],
    ['delete', 4],
    ['pair', 22],
  ] as const
).flatMap(([operation, weight]) => Array.from({ length: weight }, (): Operation => operation));

type Clients = [Client, Client];
type Row = readonly [aggregateType: string, aggregateId: string, type: string, payload: string];

const COLUMNS = 'aggregatetype, aggregateid, type, payload';
const AGGREGATE_TYPES = ['order', 'customer', 'invoice', 'shipment'] as const;
const TEXTS = ['plain ', 'é', 'ß→', '漢字', '😀', '"quoted"', '\\', '\n', '\t', '\u0001', "'", '\u2028'];

/** Makes rows up. */
class Producer {
  readonly random: Random;
  readonly #options: Required<WorkloadOptions>;
  readonly #number: number;

  constructor(random: Random, options: Required<WorkloadOptions>, number: number) {
    this.random = random;
    this.#options = options;
    this.#number = number;
  }

  rows(count: number): Row[] {
    return Array.from({ length: count }, () => this.row());
  }

  row(): Row {
    const { random } = this;
    return [
      random.pick(AGGREGATE_TYPES),
      `${this.#number}-${random.int(0, 9)}`,
      random.pick(['created', 'changed', 'geändert', '']),
      this.#payload(),
    ];
  }

  #payload(): string {
    const { random } = this;
    const draw = random.next();
    if (draw < 0.05) return random.pick(['0', '{}', '""', 'null', '[]', '12345678901234567890.10']);
    const bytesMax = draw < 0.9 ? 300 : draw < 0.99 ? 4_000 : this.#options.payloadBytesMax;
    const piece = random.pick(TEXTS);
    const bytes = random.int(0, Math.min(bytesMax, this.#options.payloadBytesMax));
    return JSON.stringify({ n: random.int(0, 1e9), text: piece.repeat(bytes / Buffer.byteLength(piece)) });
  }
}

async function insert(client: Client, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return;
  const places = rows.map((_, row) => `(${[1, 2, 3, 4].map((column) => `$${row * 4 + column}`).join(', ')})`);
  await client.query(`INSERT INTO outbox (${COLUMNS}) VALUES ${places.join(', ')}`, rows.flat());
}

/** The text format of COPY. */
function copyText(rows: readonly Row[]): string {
  const escapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\t': '\\t', '\r': '\\r' };
  return rows
    .map((row) => row.map((value) => value.replaceAll(/[\\\n\t\r]/g, (c) => escapes[c] as string)).join('\t'))
    .map((line) => `${line}\n`)
    .join('');
}

async function connect(databaseUrl: string): Promise<Client> {
  const client = new Client({
    connectionString: databaseUrl,
    connectionTimeoutMillis: 5_000,
    application_name: 'workload',
  });
  // A server that a test kills takes its connections along.
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function sleep(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
