import type { LaneState } from '../sink/lane-state.ts';
import type { SeenLane } from '../sink/republisher.ts';
import type { RedisByKey } from './redis-by-key.ts';

/** What the lane of a stream was like when the audit began; null for one that did not exist. */
export function seenLane(
  redis: RedisByKey,
  stream: string,
  lane: LaneState,
  recoveries: Recoveries,
): SeenLane | null {
  const key = redis.laneKeyOf(stream);
  const state = lane.parts === undefined ? lane : lane.parts.find((part) => part.key === key)?.state;
  if (state === null || state === undefined) return null;
  return { key, epoch: state.epoch, floorLsn: state.floorLsn, recoveries: recoveries.get(key) ?? '0' };
}

/** How often something was recovered into each lane, by the lane's key. */
export type Recoveries = ReadonlyMap<string, string>;

export async function readRecoveries(
  redis: RedisByKey,
  lane: LaneState,
  metaKey: string,
): Promise<Recoveries> {
  const keys = lane.parts === undefined ? [metaKey] : lane.parts.map(({ key }) => key);
  const counts = new Map<string, string>();
  for (const key of keys) {
    const reply = await redis.forKey(key).command('reading the lane state', 'HGET', key, 'recoveries');
    counts.set(key, typeof reply === 'string' ? reply : '0');
  }
  return counts;
}
