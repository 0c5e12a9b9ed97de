import { Client } from 'pg';
import { quoteQualified } from '../../source/sql.ts';
import { aggregateTypeOf, type LoadPlan, placeOfEvent } from '../load-plan.ts';
import { formatMarker } from '../marker.ts';
import { nowUs } from './serve-requests.ts';

export interface WriterOptions {
  readonly databaseUrl: string;
  readonly table: { readonly schema: string; readonly name: string };
  readonly plan: LoadPlan;
  /** Text to cut payloads from. */
  readonly padding: string;
}

/** One producer's connection: writes its events, numbered from 0. */
export class EventWriter {
  readonly #client: Client;
  readonly #producer: number;
  readonly #options: WriterOptions;
  readonly #tableName: string;
  /** So many events are committed. */
  committed = 0;

  private constructor(client: Client, producer: number, options: WriterOptions) {
    this.#client = client;
    this.#producer = producer;
    this.#options = options;
    this.#tableName = quoteQualified(options.table);
  }

  static async open(producer: number, options: WriterOptions): Promise<EventWriter> {
    const client = new Client({
      connectionString: options.databaseUrl,
      application_name: 'walrelay-bench-load',
    });
    await client.connect();
    return new EventWriter(client, producer, options);
  }

  /** One transaction, as large as the plan says. */
  async write(intendedUs: number): Promise<void> {
    const { rowsPerTransaction } = this.#options.plan;
    await (rowsPerTransaction === 1 ? this.#insertOne(intendedUs) : this.#insertMany(intendedUs));
    this.committed += rowsPerTransaction;
  }

  /** A transaction with one event, ready to be committed at the moment that is written into it. */
  async begin(intendedUs: number): Promise<void> {
    await this.#client.query('BEGIN');
    await this.#insertOne(intendedUs, intendedUs);
  }

  async commit(): Promise<void> {
    await this.#client.query('COMMIT');
    this.committed += 1;
  }

  /** The backend reports what it has counted now, and not up to ten seconds later (since PostgreSQL 15). */
  async reportCounters(): Promise<void> {
    await this.#client.query('SELECT pg_stat_force_next_flush()').catch(() => undefined);
  }

  async close(): Promise<void> {
    await this.#client.end();
  }

  async #insertOne(intendedUs: number, sentUs = nowUs()): Promise<void> {
    const { plan } = this.#options;
    const number = this.committed;
    const { aggregate, stream } = placeOfEvent(plan, this.#producer, number);
    const marker = formatMarker({ producer: this.#producer, number, intendedUs, sentUs });
    const padding = this.#padding(number, plan.payloadBytes - marker.length - ENVELOPE_BYTES);
    await this.#client.query({
      name: 'one',
      text: `INSERT INTO ${this.#tableName} (aggregatetype, aggregateid, type, payload) VALUES ($1, $2, 'bench.event', $3)`,
      values: [
        aggregateTypeOf(stream),
        `${this.#producer}-${aggregate}`,
        `{"m": "${marker}", "pad": "${padding}"}`,
      ],
    });
  }

  /** The server makes the rows: what is measured is not how fast a client can write SQL. */
  async #insertMany(intendedUs: number): Promise<void> {
    const { aggregatesPerProducer, streams, rowsPerTransaction, payloadBytes } = this.#options.plan;
    await this.#client.query({
      name: 'many',
      text: `INSERT INTO ${this.#tableName} (aggregatetype, aggregateid, type, payload)
        SELECT 's' || ($1::int * $2::int + n % $2) % $3::int, $1 || '-' || n % $2, 'bench.event',
          jsonb_build_object('m', '~wb~' || $1 || '~' || n || '~' || $4::bigint || '~' || $5::bigint || '~', 'pad', $6::text)
        FROM generate_series($7::int, $8::int) n`,
      values: [
        this.#producer,
        aggregatesPerProducer,
        streams,
        intendedUs,
        nowUs(),
        this.#padding(this.committed, payloadBytes - MARKER_BYTES - ENVELOPE_BYTES),
        this.committed,
        this.committed + rowsPerTransaction - 1,
      ],
    });
  }

  /** Another piece for each event. */
  #padding(number: number, bytes: number): string {
    const { padding } = this.#options;
    const length = Math.max(0, bytes);
    const from = length === 0 ? 0 : (number * 7919) % (padding.length - length);
    return padding.slice(from, from + length);
  }
}

/** `{"m": "", "pad": ""}`, as Postgres renders it. */
const ENVELOPE_BYTES = 21;
/** About what a marker has: two times of 11 or 12 digits and two short numbers. */
const MARKER_BYTES = 36;
