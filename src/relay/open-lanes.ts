import type { Settings } from '../config/settings.ts';
import { ClusterLanes } from '../sink/cluster-lanes.ts';
import type { DurabilityWait } from '../sink/durability-wait.ts';
import type { Appending } from '../sink/lane.ts';
import type { LaneSet } from '../sink/lane-set.ts';
import type { RedisNodes } from '../sink/redis-nodes.ts';
import { SingleLane } from '../sink/single-lane.ts';

export function openLanes(
  settings: Settings,
  nodes: RedisNodes,
  durability: DurabilityWait,
  appending: Appending,
): LaneSet {
  return settings.redisMode === 'cluster'
    ? new ClusterLanes(nodes, settings.metaKey, durability, appending)
    : new SingleLane(nodes, settings.metaKey, durability, appending);
}
