import type { Lsn } from '../../src/core/lsn.ts';
import type { SimulatedEvent, Wal } from './wal.ts';

/**
 * What must come into the streams: the published events, lane by lane, in commit order, up to an event that can't pass. A promotion
 * ends one history and begins another, which shares its beginning.
 */
export class History {
  readonly #wal: Wal;
  readonly #laneOf: (stream: string) => string;
  #lanes = new Map<string, SimulatedEvent[]>();
  readonly #ended: {
    readonly lanes: ReadonlyMap<string, readonly SimulatedEvent[]>;
    readonly forkLsn: Lsn;
  }[] = [];
  #readTransactions = 0;
  #isBlocked = false;
  #unpublishedLsn: Lsn | null = null;

  constructor(wal: Wal, laneOf: (stream: string) => string) {
    this.#wal = wal;
    this.#laneOf = laneOf;
  }

  /** The number of the history that goes on. */
  get current(): number {
    return this.#ended.length;
  }

  /** Where the first transaction begins that had events and was not published. */
  get unpublishedLsn(): Lsn | null {
    this.#read();
    return this.#unpublishedLsn;
  }

  /** Whether it ends in front of an event that can't be routed. */
  get isBlocked(): boolean {
    this.#read();
    return this.#isBlocked;
  }

  /** By lane. */
  lanes(history = this.current): ReadonlyMap<string, readonly SimulatedEvent[]> {
    const ended = this.#ended[history];
    if (ended !== undefined) return ended.lanes;
    this.#read();
    return this.#lanes;
  }

  events(lane: string, history = this.current): readonly SimulatedEvent[] {
    return this.lanes(history).get(lane) ?? [];
  }

  /** Where the histories from `from` on were left. */
  forksSince(from: number): readonly Lsn[] {
    return this.#ended.slice(from).map(({ forkLsn }) => forkLsn);
  }

  /** Call it in front of what takes the end of the WAL away. */
  endAt(forkLsn: Lsn): void {
    this.#read();
    this.#ended.push({ lanes: this.#lanes, forkLsn });
    this.#lanes = new Map();
    this.#readTransactions = 0;
    this.#isBlocked = false;
    this.#unpublishedLsn = null;
  }

  #read(): void {
    const { transactions } = this.#wal;
    while (!this.#isBlocked && this.#readTransactions < transactions.length) {
      const transaction = transactions[this.#readTransactions];
      this.#readTransactions += 1;
      if (transaction === undefined || transaction.events.length === 0) continue;
      if (!transaction.isPublished) {
        this.#unpublishedLsn ??= transaction.commitLsn;
        continue;
      }
      for (const event of transaction.events) {
        if (event.isUnroutable) {
          this.#isBlocked = true;
          return;
        }
        const lane = this.#laneOf(event.stream);
        const events = this.#lanes.get(lane);
        if (events === undefined) this.#lanes.set(lane, [event]);
        else events.push(event);
      }
    }
  }
}
