import type { Exactness } from '../support/compare-streams.ts';

/** What runs have counted. Events that a halted relay has not delivered yet are not lost: the slot still holds them. */
export interface Tally {
  events: number;
  lost: number;
  duplicated: number;
  misordered: number;
  altered: number;
  /** Faults brought about. */
  faults: number;
  /** Those of them that ended a process without a word: SIGKILL, immediate stop. */
  kills: number;
  /** From the end of a fault until an event committed after it stood in its stream. */
  readonly recoveriesMs: number[];
}

export function emptyTally(): Tally {
  return {
    events: 0,
    lost: 0,
    duplicated: 0,
    misordered: 0,
    altered: 0,
    faults: 0,
    kills: 0,
    recoveriesMs: [],
  };
}

/** Foreign entries were never committed: they count as altered. */
export function countExactness(tally: Tally, exactness: Exactness): void {
  tally.events += exactness.events;
  tally.lost += exactness.missing.length;
  tally.duplicated += exactness.duplicated.length;
  tally.misordered += Math.max(exactness.misordered.length, exactness.misorderedAggregates.length);
  tally.altered += exactness.altered.length + exactness.foreign.length;
}

export function sumTallies(tallies: readonly Tally[]): Tally {
  const sum = emptyTally();
  for (const tally of tallies) {
    sum.events += tally.events;
    sum.lost += tally.lost;
    sum.duplicated += tally.duplicated;
    sum.misordered += tally.misordered;
    sum.altered += tally.altered;
    sum.faults += tally.faults;
    sum.kills += tally.kills;
    sum.recoveriesMs.push(...tally.recoveriesMs);
  }
  return sum;
}
