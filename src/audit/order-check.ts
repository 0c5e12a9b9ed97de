import type { EntryOrder } from './audit-record.ts';

export interface OrderedEntry {
  readonly lsn: bigint;
  readonly seq: number;
  /** Milliseconds since 1970; NaN when the entry doesn't tell. */
  readonly committedAtMs: number;
  /** Names the aggregate; null when the entry has none. */
  readonly aggregate: string | null;
}

/**
 * Whether the entries of one stream, in the order of their IDs, stand in commit order, and those of an aggregate among
 * themselves. Remembers the newest position of the stream, and of as many aggregates as fit.
 */
export class OrderCheck {
  /** How often positions began anew: the LSNs of another Postgres cluster, after an epoch was accepted. */
  newHistories = 0;
  #newest: OrderedEntry | null = null;
  readonly #newestOf = new Map<string, OrderedEntry>();
  readonly #aggregatesMax: number;

  constructor(aggregatesMax = AGGREGATES_MAX) {
    this.#aggregatesMax = aggregatesMax;
  }

  check(entry: OrderedEntry): EntryOrder {
    const newest = this.#newest;
    if (newest !== null && isBefore(entry, newest)) {
      // What came too late was committed before, too. What was committed later and has a lower LSN has another WAL.
      if (entry.committedAtMs >= newest.committedAtMs + NEW_HISTORY_MS) {
        this.newHistories += 1;
        this.#newestOf.clear();
        this.#take(entry);
        return 'kept';
      }
      const ofAggregate = entry.aggregate === null ? undefined : this.#newestOf.get(entry.aggregate);
      return ofAggregate !== undefined && isBefore(entry, ofAggregate) ? 'aggregate' : 'broken';
    }
    this.#take(entry);
    return 'kept';
  }

  #take(entry: OrderedEntry): void {
    this.#newest = entry;
    if (entry.aggregate === null) return;
    // Deleted first, so that the map's first is the one that was not seen for longest.
    this.#newestOf.delete(entry.aggregate);
    this.#newestOf.set(entry.aggregate, entry);
    if (this.#newestOf.size > this.#aggregatesMax) {
      const [oldest] = this.#newestOf.keys();
      if (oldest !== undefined) this.#newestOf.delete(oldest);
    }
  }
}

/** Commit times are taken just before the LSN is, so two that run at once may have them the other way round. */
const NEW_HISTORY_MS = 1000;
const AGGREGATES_MAX = 50_000;

function isBefore(a: OrderedEntry, b: OrderedEntry): boolean {
  return a.lsn < b.lsn || (a.lsn === b.lsn && a.seq < b.seq);
}
