import { expect } from 'vitest';
import { Random } from './chaos-random.ts';
import type { Daemon, Env } from './cli.ts';
import type { RelayedEvent } from './compare-streams.ts';
import { readEntries } from './exactness.ts';
import type { Outbox, OutboxOptions } from './outbox.ts';
import { createOutbox } from './servers.ts';
import { waitFor } from './wait-for.ts';

/** In the order of an identity column; the interval is short, since most tests wait for it. */
const ENV: Env = { WALRELAY_POLL_ORDER_COLUMN: 'position', WALRELAY_POLL_INTERVAL_MS: '20' };

/**
 * An outbox without slot and publication. A trigger notes every insert in the table `history`, in the same transaction:
 * what stands there was committed, whatever a relay has deleted since.
 */
export async function createPolledOutbox(
  options: Partial<OutboxOptions> & { payloadType?: string } = {},
): Promise<Outbox> {
  const outbox = await createOutbox({
    ...options,
    isInitialized: false,
    env: { ...ENV, ...options.env },
  });
  await outbox.query(`CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY UNIQUE, id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    aggregatetype text, aggregateid text, type text, payload ${options.payloadType ?? 'jsonb'}, published_at timestamptz)`);
  await outbox.query('CREATE TABLE history (LIKE outbox)');
  await outbox.query(`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO history VALUES (new.*); RETURN new; END'`);
  await outbox.query('CREATE TRIGGER note AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION note()');
  return outbox;
}

export async function startPolling(outbox: Outbox, env: Env = {}): Promise<Daemon> {
  const daemon = startPoll(outbox, env);
  await daemon.waitForLog('polling');
  return daemon;
}

/** Does not wait: for one that is expected to refuse. */
export function startPoll(outbox: Outbox, env: Env = {}): Daemon {
  return outbox.start(env, { args: ['poll'] });
}

/** Inserts `count` events in one statement, numbered from 1 by their aggregate ids. */
export async function insertMany(outbox: Outbox, count: number, aggregateType = 'order'): Promise<void> {
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT $2, i::text, 't', '{}' FROM generate_series(1, $1::int) i`,
    [count, aggregateType],
  );
}

/** Concurrent producers; a third of their transactions roll back, wholly or to a savepoint. Aggregates are a writer's own. */
export async function writeConcurrently(
  outbox: Outbox,
  options: { seed: number; writers: number; transactions: number },
): Promise<void> {
  const seeds = new Random(options.seed);
  const writers = Array.from({ length: options.writers }, async (_, number) => {
    const random = new Random(seeds.int(0, 0xffff_ffff));
    const client = await outbox.pool.connect();
    const insert = (rows: number) =>
      client.query(
        `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
         SELECT $2, $3, 'é"\\', jsonb_build_object('n', i, 'text', repeat('ß ', $4::int)) FROM generate_series(1, $1::int) i`,
        [rows, random.pick(['order', 'parcel', 'bill']), `writer ${number}`, random.int(0, 200)],
      );
    for (let count = 0; count < options.transactions; count += 1) {
      await client.query('BEGIN');
      await insert(random.int(1, 20));
      await client.query('SAVEPOINT s');
      await insert(random.int(1, 5));
      const draw = random.next();
      if (draw < 0.15) await client.query('ROLLBACK TO s');
      await client.query(draw > 0.8 ? 'ROLLBACK' : 'COMMIT');
    }
    client.release();
  });
  await Promise.all(writers);
}

/** Waits until no row is left to publish. */
export async function untilPolled(outbox: Outbox, timeoutMs?: number): Promise<void> {
  await waitFor(
    'every row to be published',
    async () => {
      const rows = await outbox.query('SELECT 1 FROM outbox WHERE published_at IS NULL LIMIT 1');
      return rows.length === 0;
    },
    timeoutMs,
  );
}

export interface Polled {
  readonly events: number;
  readonly duplicates: number;
}

/** Every committed event stands in its stream with its bytes, and nothing else does. What stands twice is counted. */
export async function comparePolled(outbox: Outbox): Promise<Polled> {
  const committed = await outbox.query<{ id: string; stream: string; payload: string }>(
    `SELECT id, $1 || '.' || aggregatetype AS stream, payload::text AS payload FROM history`,
    [outbox.name],
  );
  const truth = new Map(committed.map((event) => [event.id, event]));
  const seen = new Set<string>();
  const faults: string[] = [];
  let duplicates = 0;
  for (const [stream, entries] of await readEntries(outbox.redis, outbox.name)) {
    for (const entry of entries) {
      const event = truth.get(entry.id);
      if (event === undefined) faults.push(`foreign ${entry.id}`);
      else if (event.stream !== stream) faults.push(`astray ${entry.id}`);
      else if (event.payload !== entry.payload) faults.push(`altered ${entry.id}`);
      if (seen.has(entry.id)) duplicates += 1;
      seen.add(entry.id);
    }
  }
  for (const { id } of committed) if (!seen.has(id)) faults.push(`missing ${id}`);
  expect(faults.slice(0, 5)).toEqual([]);
  return { events: committed.length, duplicates };
}

/** The events of an aggregate stand in each stream in the order in which they were inserted, as far as they came once. */
export async function expectOrderPerAggregate(outbox: Outbox): Promise<void> {
  const rows = await outbox.query<{ id: string; position: string }>('SELECT id, position FROM history');
  const positions = new Map(rows.map(({ id, position }) => [id, Number(position)]));
  const misordered: string[] = [];
  for (const [stream, entries] of await readEntries(outbox.redis, outbox.name)) {
    const last = new Map<string, number>();
    const seen = new Set<string>();
    for (const { id, aggregateId } of entries satisfies RelayedEvent[]) {
      const position = positions.get(id) ?? 0;
      // Only the first of several: a repetition comes late by its nature.
      if (!seen.has(id) && position < (last.get(aggregateId) ?? 0)) misordered.push(`${stream} ${id}`);
      seen.add(id);
      last.set(aggregateId, Math.max(position, last.get(aggregateId) ?? 0));
    }
  }
  expect(misordered).toEqual([]);
}
