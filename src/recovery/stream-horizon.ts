import type { StreamFacts } from '../sink/stream-ids.ts';

/**
 * From when on a row that no stream holds was certainly never relayed. Pure. What tells: a row is made before its
 * transaction is committed, and a stream that is trimmed loses its oldest entries first. So a row that is younger than the
 * oldest entry of its stream would stand there, had it been relayed. In a stream that never lost an entry, all rows would,
 * that are younger than the oldest entry of all: by then a relay was at work.
 */
export interface Horizon {
  /** Rows made from then on were not relayed. Microseconds since 1970. */
  readonly fromUs: number;
  /** Rows made before were relayed, as far as anybody can tell: the stream was trimmed up to here. */
  readonly relayedBeforeUs: number;
}

export interface LaneHistory {
  /** Whether a relay ever appended anything to this lane. */
  readonly hasRelayed: boolean;
  /** The oldest and the newest commit time in any stream of the lane. */
  readonly oldestCommittedUs: number | null;
  readonly newestCommittedUs: number | null;
}

/** `facts`: null where there is no such stream. Rows between the two times of the answer are in doubt. */
export function horizonOf(facts: StreamFacts | null, lane: LaneHistory): Horizon {
  const deletedUpToUs = facts?.deletedUpToUs ?? NEVER;
  const oldestUs = facts?.oldestCommittedUs ?? null;
  if (facts !== null && oldestUs !== null) {
    if (!facts.hasLostEntries) {
      return { fromUs: Math.min(oldestUs, lane.oldestCommittedUs ?? oldestUs), relayedBeforeUs: NEVER };
    }
    return { fromUs: Math.max(oldestUs + COMMIT_TIME_SLACK_US, deletedUpToUs), relayedBeforeUs: oldestUs };
  }
  // Nothing that a relay appended is in it. Was there ever anything? Only where a relay has been at work.
  const relayedUpToUs = lane.hasRelayed ? (lane.newestCommittedUs ?? Number.POSITIVE_INFINITY) : NEVER;
  return { fromUs: Math.max(relayedUpToUs, deletedUpToUs), relayedBeforeUs: NEVER };
}

const NEVER = Number.NEGATIVE_INFINITY;

export const VERDICT = { republish: 0, relayed: 1, doubtful: 2, dropped: 3 } as const;

/** What becomes of a row that no stream holds. `madeUs`: null where nobody knows. */
export function judgeRow(madeUs: number | null, horizon: Horizon): number {
  if (horizon.fromUs === NEVER) return VERDICT.republish;
  if (madeUs === null) return VERDICT.doubtful;
  if (madeUs >= horizon.fromUs) return VERDICT.republish;
  return madeUs < horizon.relayedBeforeUs ? VERDICT.relayed : VERDICT.doubtful;
}

/** A commit time is taken before the LSN is: two commits that run at once may have them the other way round. */
const COMMIT_TIME_SLACK_US = 1_000_000;
