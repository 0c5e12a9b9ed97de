import type { StreamFacts } from '../sink/stream-ids.ts';

/**
 * From when on a row that no stream holds was certainly never relayed. Pure. A row is made before its transaction is
 * committed, and streams lose their oldest entries first: so a row that is younger than the oldest entry of its stream
 * would stand there, had it been relayed.
 */
export interface Horizon {
  /** Rows made from then on were not relayed. Microseconds since 1970. */
  readonly fromUs: number;
  /** Rows made before were relayed, as far as anybody can tell: the stream begins only here. */
  readonly relayedBeforeUs: number;
}

export interface LaneHistory {
  /** Whether a relay ever appended anything to this lane. */
  readonly hasRelayed: boolean;
  /** The newest commit time in any stream of the lane. */
  readonly newestCommittedUs: number | null;
}

/** `facts`: null where there is no such stream. Rows between the two times of the answer are in doubt. */
export function horizonOf(facts: StreamFacts | null, lane: LaneHistory): Horizon {
  const deletedUpToUs = facts?.deletedUpToUs ?? Number.NEGATIVE_INFINITY;
  const oldestUs = facts?.oldestCommittedUs ?? null;
  if (oldestUs !== null) return { fromUs: Math.max(oldestUs, deletedUpToUs), relayedBeforeUs: oldestUs };
  // Nothing that a relay appended is in it. Was there ever anything? Only where a relay has been at work.
  const relayedUpToUs = lane.hasRelayed
    ? (lane.newestCommittedUs ?? Number.POSITIVE_INFINITY)
    : Number.NEGATIVE_INFINITY;
  return { fromUs: Math.max(relayedUpToUs, deletedUpToUs), relayedBeforeUs: Number.NEGATIVE_INFINITY };
}

export const VERDICT = { republish: 0, relayed: 1, doubtful: 2 } as const;

/** What becomes of a row that no stream holds. `madeUs`: null where nobody knows. */
export function judgeRow(madeUs: number | null, horizon: Horizon): number {
  if (horizon.fromUs === Number.NEGATIVE_INFINITY) return VERDICT.republish;
  if (madeUs === null) return VERDICT.doubtful;
  if (madeUs >= horizon.fromUs) return VERDICT.republish;
  return madeUs < horizon.relayedBeforeUs ? VERDICT.relayed : VERDICT.doubtful;
}
