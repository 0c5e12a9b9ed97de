import type { Redis } from 'ioredis';
import pglr from 'pg-logical-replication';
import { type Lsn, parseLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import { compareStreams, type Exactness, type RelayedEvent } from './compare-streams.ts';
import type { Outbox } from './outbox.ts';

/**
 * The ground truth, from a second slot that nobody confirms, read by an independent decoder: what was committed,
 * in commit order, with LSN and ordinal. Made before the first event.
 */
export class Oracle {
  readonly #outbox: Outbox;
  readonly #slot: string;
  #takenLsn: Lsn = ZERO_LSN;
  readonly #tables: readonly string[];
  /** A table that is renamed stays the outbox. */
  readonly #tableOids: readonly number[];

  private constructor(
    outbox: Outbox,
    slot: string,
    tables: { names: readonly string[]; oids: readonly number[] },
  ) {
    this.#outbox = outbox;
    this.#slot = slot;
    this.#tables = tables.names;
    this.#tableOids = tables.oids;
  }

  /** `names`: tables with the usual columns. */
  static async create(outbox: Outbox, names: readonly string[] = ['outbox']): Promise<Oracle> {
    const slot = `${outbox.name}_oracle`;
    await outbox.query("SELECT pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    const found = await outbox.query<{ oid: number | null }>(
      'SELECT to_regclass(name)::oid::int AS oid FROM unnest($1::text[]) name',
      [names],
    );
    return new Oracle(outbox, slot, { names, oids: found.flatMap(({ oid }) => oid ?? []) });
  }

  /** All there ever was. */
  async read(): Promise<RelayedEvent[]> {
    return this.#decode(await this.#changes('peek'));
  }

  /** What was committed since the last time, for runs that are too long to be held in memory. */
  async take(): Promise<RelayedEvent[]> {
    const taken = this.#takenLsn;
    // After a crash of Postgres the slot may give once more what was taken.
    const events = this.#decode(await this.#changes('get')).filter((event) => parseLsn(event.lsn) > taken);
    const newest = events.at(-1);
    if (newest !== undefined) this.#takenLsn = parseLsn(newest.lsn);
    return events;
  }

  async #changes(how: 'peek' | 'get'): Promise<readonly { readonly data: Buffer }[]> {
    return this.#outbox.query<{ data: Buffer }>(
      `SELECT data FROM pg_logical_slot_${how}_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', 'walrelay')`,
      [this.#slot],
    );
  }

  #decode(rows: readonly { readonly data: Buffer }[]): RelayedEvent[] {
    // Text in, text out: the oracle must not re-encode what it judges.
    const plugin = new pglr.PgoutputPlugin({ protoVersion: 1, publicationNames: ['walrelay'] });
    const parser = plugin as unknown as { parse(data: Buffer): Message };
    const events: RelayedEvent[] = [];
    let commitLsn = '';
    let committedAt = '';
    let seq = 0;
    for (const { data } of rows) {
      const message = parser.parse(data);
      if (message.tag === 'begin') {
        commitLsn = formatPadded(message.commitLsn ?? '');
        committedAt = formatMicros(message.commitTime ?? 0n);
        seq = 0;
      } else if (message.tag === 'insert' && this.#isOutbox(message)) {
        const values = rawTuple(data);
        const value = (name: string) =>
          values[message.relation?.columns.findIndex((column) => column.name === name) ?? -1] ?? '';
        events.push({
          stream: this.#outbox.stream(value('aggregatetype')),
          id: value('id'),
          type: value('type'),
          aggregateType: value('aggregatetype'),
          aggregateId: value('aggregateid'),
          payload: value('payload'),
          lsn: commitLsn,
          seq: String(seq),
          committedAt,
        });
        seq += 1;
      }
    }
    return events;
  }

  #isOutbox({ relation }: Message): boolean {
    if (relation === undefined) return false;
    return this.#tables.includes(relation.name) || this.#tableOids.includes(relation.relationOid);
  }
}

interface Message {
  readonly tag: string;
  readonly commitLsn?: string | null;
  readonly commitTime?: bigint;
  readonly relation?: {
    readonly relationOid: number;
    readonly name: string;
    readonly columns: readonly { readonly name: string }[];
  };
}

/** The text values of an Insert, straight from its bytes. */
function rawTuple(data: Buffer): string[] {
  const values: string[] = [];
  let offset = 8;
  for (let left = data.readUInt16BE(6); left > 0; left -= 1) {
    const kind = String.fromCharCode(data.readUInt8(offset));
    offset += 1;
    if (kind !== 't') {
      values.push('');
      continue;
    }
    const length = data.readUInt32BE(offset);
    values.push(data.toString('utf8', offset + 4, offset + 4 + length));
    offset += 4 + length;
  }
  return values;
}

function formatPadded(lsn: string): string {
  const [high = '0', low = '0'] = lsn.split('/');
  return `${Number.parseInt(high, 16).toString(16)}/${Number.parseInt(low, 16).toString(16)}`.toUpperCase();
}

/** `micros` since 1970, as the library gives them. */
function formatMicros(micros: bigint): string {
  const seconds = new Date(Number(micros / 1000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(micros % 1_000_000n).padStart(6, '0')}Z`;
}

/** All entries of the test's streams, stream by stream, in stream order. */
export async function readEntries(
  redis: Redis,
  prefix: string,
  /** Of entries that are not native. */
  eventOf: (stream: string, fields: Readonly<Record<string, string>>) => RelayedEvent = nativeEvent,
): Promise<Map<string, RelayedEvent[]>> {
  const streams = new Map<string, RelayedEvent[]>();
  for (const stream of (await redis.keys(`${prefix}.*`)).sort()) {
    const events: RelayedEvent[] = [];
    let from = '-';
    for (;;) {
      const page = await redis.xrange(stream, from, '+', 'COUNT', 5000);
      for (const [, fields] of page) {
        const field: Record<string, string> = {};
        for (let index = 0; index < fields.length; index += 2)
          field[fields[index] as string] = fields[index + 1] as string;
        events.push(eventOf(stream, field));
      }
      const last = page.at(-1);
      if (last === undefined || page.length < 5000) break;
      from = `(${last[0]}`;
    }
    streams.set(stream, events);
  }
  return streams;
}

export function nativeEvent(stream: string, field: Readonly<Record<string, string>>): RelayedEvent {
  return {
    stream,
    id: field['id'] ?? '',
    type: field['type'] ?? '',
    aggregateType: field['aggregate_type'] ?? '',
    aggregateId: field['aggregate_id'] ?? '',
    payload: field['payload'] ?? '',
    lsn: field['lsn'] ?? '',
    seq: field['seq'] ?? '',
    committedAt: field['committed_at'] ?? '',
  };
}

/** Exact set, no duplicate, commit order, every byte; and floor ≥ confirmed_flush. Returns the number of events. */
export async function expectExact(outbox: Outbox, oracle: Oracle): Promise<number> {
  const exactness = compareStreams(await oracle.read(), await readEntries(outbox.redis, outbox.name));
  expectFlawless(exactness);
  await expectFloorNoted(outbox);
  return exactness.events;
}

/** Throws with the first few of each kind of flaw. */
export function expectFlawless({ events, ...flaws }: Exactness): void {
  const found = Object.entries(flaws).filter(([, ids]) => ids.length > 0);
  if (found.length === 0) return;
  const told = found.map(([flaw, ids]) => `${ids.length} ${flaw} (${ids.slice(0, 5).join(', ')})`);
  throw new Error(`of ${events} committed events: ${told.join('; ')}`);
}

/** What Postgres was told stands in Redis. */
export async function expectFloorNoted(outbox: Outbox): Promise<void> {
  // In this order: both only grow, the floor first, and a relay that is running may move them in between.
  const confirmed = await outbox.confirmedLsn();
  const floor = (await outbox.redis.hget(outbox.metaKey, 'floor')) ?? '0';
  if (BigInt(`0x${floor}`) < parseLsn(confirmed))
    throw new Error(`the floor in Redis is ${floor}, but Postgres was told ${confirmed}`);
}
