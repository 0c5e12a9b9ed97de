import type { Lsn } from '../core/lsn.ts';
import type { Position } from '../core/position.ts';
import type { Batch } from './batch.ts';
import type { Lane } from './lane.ts';
import type { LaneState } from './lane-state.ts';

/**
 * The lanes of one relay, seen as one: a single Redis has one lane, a cluster one for each hash tag. The state that
 * `read` returns covers them all.
 */
export interface LaneSet {
  /** Null when there is no lane state. */
  read(): Promise<LaneState | null>;
  /** Creates the state, or replaces the one in epoch `replaces`. False when somebody else was first. */
  write(state: LaneState, replaces: number | null): Promise<boolean>;
  /** Raises the fence of every lane (I3) and returns the state as it is under it. */
  raiseFence(epoch: number, holder: string): Promise<LaneState>;
  /** Sets facts of the state that changed with good reason. */
  annotate(facts: Readonly<Record<string, string>>): Promise<void>;
  /** Notes the timeline of what is appended from here on, in every lane that there is. */
  noteTimeline(timeline: number): Promise<void>;
  /** The number of the lane that a stream belongs to. Known streams and new ones, without a wait. */
  laneOf(stream: string): number;
  lane(number: number): AppendLane;
  /** The lane of a stream, open and under the fence: for what is appended besides the WAL. */
  heldLane(stream: string): Promise<Lane>;
  /**
   * Notes what is about to be confirmed (I4), in every lane that has changed, and resolves when that is durable. The
   * caller knows every event up to there to be accepted; `confirmedLsn` is what Postgres was told before.
   */
  noteFloor(floorLsn: Lsn, confirmedLsn: Lsn): Promise<void>;
}

/** What batches are appended to. */
export interface AppendLane {
  /** The last event that stands in the lane, as of the fence. */
  readonly watermark: Position;
  append(batch: Batch): Promise<{ readonly skipped: number }>;
}
