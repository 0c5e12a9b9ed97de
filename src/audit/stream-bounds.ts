/**
 * From when on a stream can tell. An entry that is not there may have been trimmed, or its row may be older than the
 * relay: only of rows that were inserted behind both can be said that their entry is missing.
 */
export interface StreamFacts {
  /** False: there is no such key. */
  readonly exists: boolean;
  /** Entries were trimmed or deleted at some time. */
  readonly hasLostEntries: boolean;
  /** When its first relayed entry that still stands was committed, microseconds since 1970; null without one. */
  readonly firstCommittedAtUs: bigint | null;
}

export type Absence = 'missing' | 'trimmed' | 'older';

export class StreamBounds {
  readonly #streams: readonly StreamFacts[];
  /** When the oldest entry of all streams was committed: from then on the relay was at work. Null: nobody knows. */
  readonly sinceUs: bigint | null;
  readonly #isComplete: boolean;

  /** `isComplete`: the operator says that every row should have its entry. */
  constructor(streams: readonly StreamFacts[], isComplete: boolean) {
    this.#streams = streams;
    this.#isComplete = isComplete;
    const firsts = streams.flatMap(({ firstCommittedAtUs }) => firstCommittedAtUs ?? []);
    this.sinceUs = firsts.length === 0 ? null : firsts.reduce((a, b) => (a < b ? a : b));
  }

  /**
   * What it means that the row, inserted at `timeUs` into the stream `number`, has no entry. The row was committed at
   * `timeUs` at the earliest, so behind every entry that was committed before that.
   */
  judge(number: number, timeUs: bigint | null): Absence {
    if (this.#isComplete) return 'missing';
    if (timeUs === null || this.sinceUs === null || timeUs < this.sinceUs) return 'older';
    const stream = this.#streams[number];
    if (stream === undefined || !stream.exists || !stream.hasLostEntries) return 'missing';
    const first = stream.firstCommittedAtUs;
    return first === null || timeUs <= first + COMMIT_TIME_SLACK_US ? 'trimmed' : 'missing';
  }
}

/** A commit time is taken before the LSN is: two commits that run at once may have them the other way round. */
const COMMIT_TIME_SLACK_US = 1_000_000n;
