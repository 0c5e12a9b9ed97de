import { type Lsn, lsnFromHex, lsnToHex, maxLsn, ZERO_LSN } from '../core/lsn.ts';
import { taggedKey } from '../core/own-keys.ts';
import { comparePositions, ORIGIN, type Position, positionToHex } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { Batch } from './batch.ts';
import {
  ACCEPT_LANE_SCRIPT,
  FORGET_FLOORS_SCRIPT,
  LIST_LANE_SCRIPT,
  OPEN_LANE_SCRIPT,
} from './cluster-script.ts';
import type { DurabilityWait } from './durability-wait.ts';
import { hashTag } from './hash-slot.ts';
import { type Appending, Lane, loadScripts, pairsToRecord } from './lane.ts';
import type { AppendLane, LaneSet } from './lane-set.ts';
import { type LanePart, type LaneState, laneFromFields, partFromFields } from './lane-state.ts';
import type { RedisNodes } from './redis-nodes.ts';

/**
 * The lanes of a cluster: one for each hash tag, since a script reaches only one hash slot. The control state, a hash of
 * its own, lists them, holds epoch, fence and floor for all, and notes for each lane the floors at which it had changed:
 * so a lane that comes back without its tail is noticed, also when nothing is written to it any more.
 */
export class ClusterLanes implements LaneSet {
  readonly #nodes: RedisNodes;
  readonly #key: string;
  readonly #control: Lane;
  readonly #durability: DurabilityWait;
  /** Null: for whoever only looks. */
  readonly #appending: Appending | null;
  readonly #lanes: ClusterLane[] = [];
  readonly #numbers = new Map<string, number>();
  #holder = '';
  #epoch = 0;
  #fence = 0;
  #systemId = '';
  #timeline = 0;

  constructor(nodes: RedisNodes, key: string, durability: DurabilityWait, appending: Appending | null) {
    this.#nodes = nodes;
    this.#key = key;
    this.#appending = appending;
    this.#control = this.#newLane(key);
    this.#durability = durability;
  }

  async read(): Promise<LaneState | null> {
    const fields = await this.#control.readFields();
    const control = laneFromFields(this.#key, fields);
    if (control === null) return null;
    const parts = await Promise.all(
      listed(fields).map(async ({ tag, notedLsns }): Promise<LanePart> => {
        const key = this.#keyOf(tag);
        const part = await this.#newLane(key).readFields();
        const state = Object.keys(part).length === 0 ? null : partFromFields(key, part);
        return { tag, key, state, notedLsns };
      }),
    );
    return withParts(control, parts);
  }

  async write(state: LaneState, replaces: number | null): Promise<boolean> {
    const before = await this.#control.readFields();
    if (!(await this.#control.write({ ...state, watermark: ORIGIN }, replaces))) return false;
    for (const { tag } of listed(before)) {
      const key = this.#keyOf(tag);
      await this.#newLane(key).run(
        'taking a lane into the new epoch',
        ACCEPT_LANE_SCRIPT,
        String(state.epoch),
        lsnToHex(state.floorLsn),
        positionToHex(state.watermark),
        positionToHex(ORIGIN),
        state.systemId,
        String(state.timeline),
      );
      await this.#control.run('forgetting old floors', FORGET_FLOORS_SCRIPT, FIELD + tag);
    }
    return true;
  }

  async raiseFence(epoch: number, holder: string): Promise<LaneState> {
    this.#holder = holder;
    await Promise.all(this.#nodes.writers.map((node) => loadScripts(node, this.#appending)));
    // A control state that lost its tail may know an older fence than a lane does.
    for (let atLeast = 0; ; ) {
      const fields = await this.#control.raiseFence(epoch, holder, atLeast);
      const control = laneFromFields(this.#key, fields);
      if (control === null) throw new WalrelayError('LANE_MISSING', `the lane state ${this.#key} is gone`);
      this.#epoch = control.epoch;
      this.#fence = control.fence;
      this.#systemId = control.systemId;
      this.#timeline = control.timeline;
      const parts = await Promise.all(
        listed(fields).map(async ({ tag, notedLsns }) => {
          const lane = this.#newLane(this.#keyOf(tag));
          return { lane, tag, notedLsns, opened: await this.#open(lane) };
        }),
      );
      const newest = Math.max(...parts.map(({ opened }) => (typeof opened === 'number' ? opened : 0)), 0);
      if (newest > 0) {
        atLeast = newest + 1;
        continue;
      }
      this.#control.hold({ ...control, watermark: ORIGIN });
      const states: LanePart[] = [];
      for (const { lane, tag, notedLsns, opened } of parts) {
        if (typeof opened === 'number') continue;
        lane.hold(opened);
        // What an earlier session noted in the lane it need not have seen durable: each session notes it once more.
        this.#add(new ClusterLane(tag, lane, opened.watermark, [...notedLsns]));
        states.push({ tag, key: lane.key, state: opened, notedLsns });
      }
      return withParts(control, states);
    }
  }

  #newLane(key: string): Lane {
    return new Lane(this.#nodes.nodeOf(key), key, this.#appending);
  }

  annotate(facts: Readonly<Record<string, string>>): Promise<void> {
    return this.#control.annotate(facts);
  }

  async noteTimeline(timeline: number): Promise<void> {
    const facts = { timeline: String(timeline) };
    await Promise.all(this.#lanes.map(({ lane }) => lane.annotate(facts)));
    await this.#control.annotate(facts);
    this.#timeline = timeline;
  }

  laneOf(stream: string): number {
    const tag = hashTag(stream);
    const known = this.#numbers.get(tag);
    if (known !== undefined) return known;
    const key = this.#keyOf(tag);
    if (hashTag(key) !== tag) {
      throw new WalrelayError(
        'EVENT_STREAM_NAME',
        `the stream ${JSON.stringify(stream.slice(0, 64))} has braces that keep its lane out of its hash slot`,
      );
    }
    const lane = this.#newLane(key);
    return this.#add(new ClusterLane(tag, lane, ORIGIN, [], () => this.#openNew(tag, lane)));
  }

  lane(number: number): AppendLane {
    return this.#lanes[number] as ClusterLane;
  }

  async heldLane(stream: string): Promise<Lane> {
    const lane = this.#lanes[this.laneOf(stream)] as ClusterLane;
    await lane.open();
    return lane.lane;
  }

  async noteFloor(floorLsn: Lsn, confirmedLsn: Lsn): Promise<void> {
    const changed = this.#lanes.filter((lane) => lane.hasChanged);
    const fields: Record<string, string> = {};
    const waiters = new Set([this.#control.node.waiter]);
    for (const { tag, lane, notes } of changed) {
      fields[FIELD + tag] = notes.add(floorLsn, confirmedLsn);
      waiters.add(lane.node.waiter);
    }
    await Promise.all(changed.map(({ lane }) => lane.noteFloor(floorLsn)));
    await this.#control.noteFloor(floorLsn, fields);
    await Promise.all([...waiters].map((waiter) => this.#durability.wait(waiter)));
    for (const { notes } of changed) notes.settle(floorLsn);
  }

  #keyOf(tag: string): string {
    return taggedKey(this.#key, tag);
  }

  #add(lane: ClusterLane): number {
    const number = this.#lanes.push(lane) - 1;
    this.#numbers.set(lane.tag, number);
    return number;
  }

  /** Listed first: a lane that nobody knows of could lose its entries unnoticed. */
  async #openNew(tag: string, lane: Lane): Promise<void> {
    await this.#control.runHeld('listing a lane', LIST_LANE_SCRIPT, FIELD + tag);
    const opened = await this.#open(lane);
    if (typeof opened === 'number' || comparePositions(opened.watermark, ORIGIN) > 0) {
      // The control state had forgotten it: whether its history is that of the server, the next session's guards tell.
      throw new WalrelayError('CHAIN_GAP', `the lane ${lane.key} was there already, and was not listed`);
    }
    lane.hold(opened);
  }

  /** The lane's state under our fence, or the fence that is as new as ours. */
  async #open(lane: Lane): Promise<ReturnType<typeof partFromFields> | number> {
    const reply = await lane.run(
      'opening a lane',
      OPEN_LANE_SCRIPT,
      String(this.#epoch),
      String(this.#fence),
      this.#holder,
      positionToHex(ORIGIN),
      lsnToHex(ZERO_LSN),
      this.#systemId,
      String(this.#timeline),
    );
    if (Array.isArray(reply) && reply[0] === 'FENCE') return Number(reply[1]);
    return partFromFields(lane.key, pairsToRecord(reply));
  }
}

/** One lane of the session; a new one is opened in Redis with its first batch. */
class ClusterLane implements AppendLane {
  readonly tag: string;
  readonly lane: Lane;
  readonly watermark: Position;
  readonly notes: FloorNotes;
  #open: (() => Promise<void>) | null;
  #opening: Promise<void> | null = null;

  constructor(
    tag: string,
    lane: Lane,
    watermark: Position,
    notedLsns: Lsn[],
    open: (() => Promise<void>) | null = null,
  ) {
    this.tag = tag;
    this.lane = lane;
    this.watermark = watermark;
    this.notes = new FloorNotes(notedLsns);
    this.#open = open;
  }

  /** Whether it holds an event that no floor covers which was noted and is durable. */
  get hasChanged(): boolean {
    const { commitLsn } = this.lane.acceptedPosition;
    return commitLsn > ZERO_LSN && commitLsn >= this.notes.settledLsn;
  }

  async append(batch: Batch): Promise<{ readonly skipped: number }> {
    if (this.#open !== null) await this.open();
    return this.lane.append(batch);
  }

  async open(): Promise<void> {
    if (this.#open === null) return;
    this.#opening ??= this.#open();
    // Batches that wait here go on in the order in which they came.
    await this.#opening;
    this.#open = null;
  }
}

/** The floors that the control state holds for a lane. */
class FloorNotes {
  #notedLsns: Lsn[];
  #settledLsn: Lsn = ZERO_LSN;

  constructor(notedLsns: Lsn[]) {
    this.#notedLsns = notedLsns;
  }

  /** The newest that this session noted and saw durable. */
  get settledLsn(): Lsn {
    return this.#settledLsn;
  }

  settle(floorLsn: Lsn): void {
    this.#settledLsn = maxLsn(this.#settledLsn, floorLsn);
  }

  /** Returns the field as it should be: those before the newest that Postgres was told prove nothing any more. */
  add(floorLsn: Lsn, confirmedLsn: Lsn): string {
    const all = [...this.#notedLsns.filter((lsn) => lsn < floorLsn), floorLsn];
    const from = all.findLastIndex((lsn) => lsn <= confirmedLsn);
    this.#notedLsns = from === -1 ? all : all.slice(from);
    return this.#notedLsns.map(lsnToHex).join(',');
  }
}

const FIELD = 'lane:';

function listed(fields: Readonly<Record<string, string>>): { tag: string; notedLsns: Lsn[] }[] {
  return Object.entries(fields)
    .filter(([name]) => name.startsWith(FIELD))
    .map(([name, noted]) => ({
      tag: name.slice(FIELD.length),
      notedLsns: noted === '' ? [] : noted.split(',').map(lsnFromHex),
    }));
}

function withParts(control: LaneState, parts: readonly LanePart[]): LaneState {
  let watermark = control.watermark;
  for (const { state } of parts) {
    if (state !== null && comparePositions(state.watermark, watermark) > 0) watermark = state.watermark;
  }
  return { ...control, watermark, parts };
}
