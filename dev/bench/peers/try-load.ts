import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Pool } from 'pg';
import { quoteIdentifier, quoteQualified } from '../../../src/source/sql.ts';
import type { BenchPlace } from '../../../src/bench/contestant.ts';
import { formatMarker, type Marker, markerOfFields } from '../../../src/bench/marker.ts';

const STREAMS = 3;
const PRODUCERS = 4;
const AGGREGATES_PER_PRODUCER = 25;
const PADDING = 'x'.repeat(150);
/** Longer than any peer pauses between two deliveries. */
const SILENCE_MS = 8_000;
const BATCH = 1_000;

interface Seen {
  readonly marker: Marker;
  readonly stream: number;
  readonly atUs: number;
}

/** Producers and a blocked reader for one try, and the account of what arrived: everything on one clock. */
export class TryLoad {
  readonly #place: BenchPlace;
  readonly #pool: Pool;
  readonly #redis: Redis;
  readonly #reader: Redis;
  readonly #numbers = Array.from({ length: PRODUCERS }, () => 0);
  /** Where the events of the phase begin, by producer. */
  #phaseStart = [...this.#numbers];
  #seen: Seen[] = [];
  /** First deliveries of earlier phases: a peer that goes back far enough repeats these too. */
  readonly #delivered = new Set<string>();
  #isOpen = true;
  readonly #reading: Promise<void>;

  private constructor(place: BenchPlace) {
    this.#place = place;
    this.#pool = new Pool({ connectionString: place.databaseUrl, max: PRODUCERS, application_name: 'try' });
    this.#redis = new Redis(place.redisUrl);
    this.#reader = new Redis(place.redisUrl);
    this.#reading = this.#read();
  }

  static async open(place: BenchPlace): Promise<TryLoad> {
    const load = new TryLoad(place);
    await load.#pool.query(`CREATE SCHEMA ${quoteIdentifier(place.table.schema)};
      CREATE TABLE ${quoteQualified(place.table)} (
        id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text NOT NULL, aggregateid text NOT NULL,
        type text NOT NULL, payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
    return load;
  }

  /** Commits so many events, each in a transaction of its own; as fast as it goes when no rate is given. */
  async write(events: number, ratePerSecond?: number): Promise<void> {
    const each = events / PRODUCERS;
    const startUs = nowUs();
    const insert = `INSERT INTO ${quoteQualified(this.#place.table)} (aggregatetype, aggregateid, type, payload)
      VALUES ($1, $2, 'try.event', $3)`;
    await Promise.all(
      this.#numbers.map(async (_, producer) => {
        for (let sent = 0; sent < each; sent += 1) {
          const offsetUs =
            ratePerSecond === undefined ? 0 : ((sent * PRODUCERS + producer) / ratePerSecond) * 1e6;
          const waitMs = (startUs + offsetUs - nowUs()) / 1000;
          if (waitMs > 0) await sleep(waitMs);
          const number = this.#numbers[producer] ?? 0;
          this.#numbers[producer] = number + 1;
          const aggregate = number % AGGREGATES_PER_PRODUCER;
          const sentUs = nowUs();
          const marker = formatMarker({ producer, number, intendedUs: sentUs, sentUs });
          const payload = JSON.stringify({ m: marker, pad: PADDING });
          await this.#pool.query(insert, [`s${aggregate % STREAMS}`, `${producer}-${aggregate}`, payload]);
        }
      }),
    );
  }

  /** Waits until all that was written since the last result is there or nothing comes any more; then says how it went. */
  async result(): Promise<string> {
    const expected = this.#numbers.reduce((sum, number, at) => sum + number - (this.#phaseStart[at] ?? 0), 0);
    let last = Date.now();
    let count = -1;
    // A peer that repeats old events first is silent before and after.
    while (Date.now() - last < SILENCE_MS) {
      if (this.#seen.length !== count) last = Date.now();
      count = this.#seen.length;
      if (this.#firstDeliveries().length >= expected) break;
      await sleep(100);
    }
    // Duplicates come late, if they come.
    await sleep(1_500);
    const first = this.#firstDeliveries();
    const text = describe({ first, all: this.#seen, expected });
    for (const { marker } of first) this.#delivered.add(keyOf(marker));
    this.#seen = [];
    this.#phaseStart = [...this.#numbers];
    return text;
  }

  async backends(): Promise<string[]> {
    const { rows } = await this.#pool.query<{ name: string }>(
      `SELECT DISTINCT backend_type || ' "' || application_name || '"' AS name FROM pg_stat_activity
        WHERE datname = current_database() AND application_name <> 'try'`,
    );
    return rows.map(({ name }) => name);
  }

  /** Everything on the servers that a peer could have left behind. */
  async inventory(): Promise<string[]> {
    const { rows } = await this.#pool.query<{ item: string }>(
      `SELECT 'slot ' || slot_name AS item FROM pg_replication_slots
        UNION ALL SELECT 'publication ' || pubname FROM pg_publication
        UNION ALL SELECT 'relation ' || oid::regclass FROM pg_class WHERE oid >= 16384 AND relnamespace <> 99
        UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE oid >= 16384
        UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger
        UNION ALL SELECT 'column ' || attrelid::regclass || '.' || attname FROM pg_attribute
          WHERE attrelid = $1::regclass AND NOT attisdropped`,
      [quoteQualified(this.#place.table)],
    );
    const keys = await this.#redis.keys('*');
    const streams = Array.from({ length: STREAMS }, (_, at) => `${this.#place.keyPrefix}s${at}`);
    return [
      ...rows.map(({ item }) => item),
      ...keys.filter((key) => !streams.includes(key)).map((key) => `key ${key}`),
    ];
  }

  async close(): Promise<void> {
    this.#isOpen = false;
    this.#reader.disconnect();
    await this.#reading;
    await this.#pool.query(`DROP SCHEMA ${quoteIdentifier(this.#place.table.schema)} CASCADE`);
    await this.#pool.end();
    await this.#redis.flushall();
    this.#redis.disconnect();
  }

  #firstDeliveries(): Seen[] {
    const known = new Set(this.#delivered);
    return this.#seen.filter(({ marker }) => {
      const key = keyOf(marker);
      if (known.has(key)) return false;
      known.add(key);
      return true;
    });
  }

  async #read(): Promise<void> {
    const streams = Array.from({ length: STREAMS }, (_, at) => `${this.#place.keyPrefix}s${at}`);
    const after = new Map(streams.map((stream) => [stream, '0']));
    while (this.#isOpen) {
      try {
        const reply = await this.#reader.xreadBuffer(
          'COUNT',
          BATCH,
          'BLOCK',
          1_000,
          'STREAMS',
          ...streams,
          ...streams.map((stream) => after.get(stream) ?? '0'),
        );
        const atUs = nowUs();
        for (const [stream, entries] of (reply ?? []) as [Buffer, [Buffer, Buffer[]][]][]) {
          for (const [id, fields] of entries) {
            after.set(stream.toString(), id.toString());
            const marker = markerOfFields(fields);
            if (marker === undefined)
              console.log(`  an entry without a marker: ${fields.join(' | ').slice(0, 300)}`);
            else this.#seen.push({ marker, stream: streams.indexOf(stream.toString()), atUs });
          }
        }
      } catch (error) {
        if (this.#isOpen) throw error;
      }
    }
  }
}

interface Outcome {
  readonly first: readonly Seen[];
  readonly all: readonly Seen[];
  readonly expected: number;
}

function describe({ first, all, expected }: Outcome): string {
  const latest = new Map<string, number>();
  let misordered = 0;
  for (const { marker } of first) {
    const aggregate = `${marker.producer}-${marker.number % AGGREGATES_PER_PRODUCER}`;
    if (marker.number < (latest.get(aggregate) ?? -1)) misordered += 1;
    latest.set(aggregate, Math.max(marker.number, latest.get(aggregate) ?? -1));
  }
  const elsewhere = all.filter(
    ({ marker, stream }) => (marker.number % AGGREGATES_PER_PRODUCER) % STREAMS !== stream,
  );
  const latencies = first.map(({ marker, atUs }) => (atUs - marker.sentUs) / 1000).sort((a, b) => a - b);
  const at = (share: number) =>
    (latencies[Math.floor((latencies.length - 1) * share)] ?? Number.NaN).toFixed(1);
  const [startUs, endUs] = [first[0]?.atUs ?? 0, first.at(-1)?.atUs ?? 0];
  const rate = endUs > startUs ? Math.round((first.length * 1e6) / (endUs - startUs)) : Number.NaN;
  return [
    `${expected} events: ${expected - first.length} missing, ${all.length - first.length} duplicated`,
    `${misordered} misordered, ${elsewhere.length} in a wrong stream`,
    `p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms, ${rate}/s`,
  ].join(', ');
}

function keyOf({ producer, number }: Marker): string {
  return `${producer}-${number}`;
}

function nowUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}
