import type { Lsn } from '../core/lsn.ts';
import { ORIGIN, type Position } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { Batch } from './batch.ts';
import type { DurabilityWait } from './durability-wait.ts';
import { type Appending, Lane, loadScripts } from './lane.ts';
import type { AppendLane, LaneSet } from './lane-set.ts';
import { type LaneState, laneFromFields } from './lane-state.ts';
import type { RedisNodes } from './redis-nodes.ts';

/** The one lane of a single Redis: its state is the state. */
export class SingleLane implements LaneSet, AppendLane {
  readonly #lane: Lane;
  readonly #durability: DurabilityWait;
  /** Null: for whoever only looks. */
  readonly #appending: Appending | null;
  #watermark: Position = ORIGIN;

  constructor(nodes: RedisNodes, key: string, durability: DurabilityWait, appending: Appending | null) {
    this.#lane = new Lane(nodes.nodeOf(key), key, appending);
    this.#appending = appending;
    this.#durability = durability;
  }

  get watermark(): Position {
    return this.#watermark;
  }

  read(): Promise<LaneState | null> {
    return this.#lane.read();
  }

  write(state: LaneState, replaces: number | null): Promise<boolean> {
    return this.#lane.write(state, replaces);
  }

  async raiseFence(epoch: number, holder: string): Promise<LaneState> {
    await loadScripts(this.#lane.node.writer, this.#appending);
    const fields = await this.#lane.raiseFence(epoch, holder);
    const state = laneFromFields(this.#lane.key, fields);
    if (state === null) throw new WalrelayError('LANE_MISSING', `the lane state ${this.#lane.key} is gone`);
    this.#lane.hold(state);
    this.#watermark = state.watermark;
    return state;
  }

  annotate(facts: Readonly<Record<string, string>>): Promise<void> {
    return this.#lane.annotate(facts);
  }

  noteTimeline(timeline: number): Promise<void> {
    return this.#lane.annotate({ timeline: String(timeline) });
  }

  laneOf(): number {
    return 0;
  }

  lane(): AppendLane {
    return this;
  }

  async heldLane(): Promise<Lane> {
    return this.#lane;
  }

  append(batch: Batch): Promise<{ readonly skipped: number }> {
    return this.#lane.append(batch);
  }

  async noteFloor(floorLsn: Lsn): Promise<void> {
    await this.#lane.noteFloor(floorLsn);
    await this.#durability.wait(this.#lane.node.waiter);
  }
}
