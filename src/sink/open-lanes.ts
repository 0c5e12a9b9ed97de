import type { RedisTarget } from '../core/redis-target.ts';
import { ClusterLanes } from './cluster-lanes.ts';
import type { DurabilityWait } from './durability-wait.ts';
import type { Appending } from './lane.ts';
import type { LaneSet } from './lane-set.ts';
import type { RedisNodes } from './redis-nodes.ts';
import { SingleLane } from './single-lane.ts';

/** `appending`: null for whoever only reads what the lanes remember. */
export function openLanes(
  { redisMode, metaKey }: { readonly redisMode: RedisTarget['mode']; readonly metaKey: string },
  nodes: RedisNodes,
  durability: DurabilityWait,
  appending: Appending | null,
): LaneSet {
  return redisMode === 'cluster'
    ? new ClusterLanes(nodes, metaKey, durability, appending)
    : new SingleLane(nodes, metaKey, durability, appending);
}
