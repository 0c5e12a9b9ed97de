import { Client } from 'pg';
import { quoteIdentifier } from '../../src/source/sql.ts';
import type { DemoPlace } from './demo-place.ts';
import type { EventLedger } from './event-ledger.ts';
import type { StreamEntry, StreamReader } from './stream-reader.ts';

export interface Comparison {
  readonly rowCount: number;
  readonly entryCount: number;
  /** Rows of the table that no stream has. */
  readonly lostCount: number;
  /** Entries beyond the first of an event. */
  readonly duplicatedCount: number;
  /** Entries in front of an event that was committed before they were: see isOutOfOrder. */
  readonly outOfOrderCount: number;
  /** Entries whose payload is not, byte for byte, what Postgres renders. */
  readonly changedCount: number;
  /** Entries of no row: rolled back, or from nowhere. */
  readonly inventedCount: number;
}

/** Holds the whole table against the whole streams, after the fact. It trusts nothing that the relay says. */
export async function compare(
  place: DemoPlace,
  reader: StreamReader,
  ledger: EventLedger,
): Promise<Comparison> {
  const payloads = await readTable(place);
  const order = new OrderCheck(ledger);
  const seen = new Set<string>();
  const counts = { entryCount: 0, duplicatedCount: 0, outOfOrderCount: 0, changedCount: 0, inventedCount: 0 };
  for await (const entry of reader.readAll()) {
    const id = entry.fields['id'] ?? '';
    const payload = payloads.get(id);
    counts.entryCount += 1;
    if (payload === undefined) counts.inventedCount += 1;
    else if (payload !== entry.fields['payload']) counts.changedCount += 1;
    if (seen.has(id)) counts.duplicatedCount += 1;
    else if (order.isOutOfOrder(entry)) counts.outOfOrderCount += 1;
    seen.add(id);
  }
  const lostCount = [...payloads.keys()].filter((id) => !seen.has(id)).length;
  return { rowCount: payloads.size, lostCount, ...counts };
}

/**
 * By the shop's own clock, not by the LSN that the relay writes: when the COMMIT of one event had returned before
 * the COMMIT of another was sent, the one stands before the other, in every stream that has both.
 */
class OrderCheck {
  readonly #ledger: EventLedger;
  readonly #newestCommitStartMs = new Map<string, number>();

  constructor(ledger: EventLedger) {
    this.#ledger = ledger;
  }

  isOutOfOrder({ stream, fields }: StreamEntry): boolean {
    const times = this.#ledger.times(fields['id'] ?? '');
    if (times === undefined) return false;
    const newest = this.#newestCommitStartMs.get(stream) ?? Number.NEGATIVE_INFINITY;
    this.#newestCommitStartMs.set(stream, Math.max(newest, times.commitStartMs));
    return times.committedMs !== null && times.committedMs < newest;
  }
}

async function readTable(place: DemoPlace): Promise<Map<string, string>> {
  const client = new Client({ connectionString: place.databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string; payload: string }>(
      `SELECT id::text, payload::text FROM ${quoteIdentifier(place.schema)}.outbox`,
    );
    return new Map(rows.map(({ id, payload }) => [id, payload]));
  } finally {
    await client.end();
  }
}
