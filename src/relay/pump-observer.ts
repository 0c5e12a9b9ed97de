import type { DeadLetterFacts } from './dead-letter-desk.ts';

/** Who is told what the pump has done; nothing depends on it. */
export interface PumpObserver {
  read(facts: {
    readonly transactions: number;
    readonly resentEvents: number;
    /** Left out by a route. */
    readonly filteredEvents: number;
  }): void;
  accepted(facts: AcceptedBatch): void;
  /** One that stands. */
  deadLettered(facts: DeadLetterFacts): void;
}

export interface AcceptedBatch {
  readonly events: number;
  readonly skipped: number;
  readonly bytes: number;
  readonly appendMs: number;
  readonly oldestCommittedAtUs: bigint;
}
