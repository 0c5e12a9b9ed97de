import { setTimeout as sleep } from 'node:timers/promises';
import type { Lsn } from '../core/lsn.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { ServerState } from './relay-state.ts';
import { laterXid } from './transaction-ids.ts';

/**
 * Which rows the relay is known to have passed, so that their entries must stand in the streams. A row doesn't know its
 * commit LSN, but it knows its transaction, and two facts compare transactions with positions:
 *
 * - snapshot: every transaction before the snapshot's xmin had ended before the WAL ended where it did. Once the floor
 *   (or the slot) has reached that end, Redis has accepted all of them.
 * - slot: every transaction before the slot's catalog_xmin had ended before the position that the slot is confirmed at.
 */
export interface DueBound {
  /** Rows of transactions before this id are due; null: nothing is known of any. */
  readonly xid: number | null;
  readonly from: 'snapshot' | 'slot' | 'nothing';
  /** All due rows were committed before this position. */
  readonly lsn: Lsn | null;
}

/** `lane`: read after `server`. */
export function dueBound(server: ServerState, lane: LaneState): DueBound {
  const confirmedLsn = server.slot?.confirmedLsn ?? null;
  const bySlot = confirmedLsn === null ? null : (server.slot?.catalogXmin ?? null);
  if (isPassed(server.walEndLsn, lane.floorLsn, confirmedLsn)) {
    return {
      xid: laterXid(server.snapshotXmin, bySlot),
      from: 'snapshot',
      lsn: confirmedLsn !== null && confirmedLsn > server.walEndLsn ? confirmedLsn : server.walEndLsn,
    };
  }
  return bySlot === null
    ? { xid: null, from: 'nothing', lsn: null }
    : { xid: bySlot, from: 'slot', lsn: confirmedLsn };
}

function isPassed(lsn: Lsn, floorLsn: Lsn, confirmedLsn: Lsn | null): boolean {
  return floorLsn >= lsn || (confirmedLsn !== null && confirmedLsn >= lsn);
}

/**
 * Waits until the relay has passed the end of the WAL as `server` saw it, for `waitMs` at most, and returns the lane as it
 * is then.
 */
export async function awaitRelay(
  server: ServerState,
  waitMs: number,
  readLane: () => Promise<LaneState>,
): Promise<LaneState> {
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    const lane = await readLane();
    const confirmedLsn = server.slot?.confirmedLsn ?? null;
    if (isPassed(server.walEndLsn, lane.floorLsn, confirmedLsn) || performance.now() >= deadlineMs)
      return lane;
    await sleep(LOOK_MS);
  }
}

const LOOK_MS = 100;

/** Whether what was concluded from `before` still holds of `after`: a Redis that lost its end goes back. */
export function stillHolds(bound: DueBound, before: LaneState, after: LaneState): boolean {
  if (after.epoch !== before.epoch || after.systemId !== before.systemId) return false;
  return bound.from !== 'snapshot' || after.floorLsn >= before.floorLsn;
}
