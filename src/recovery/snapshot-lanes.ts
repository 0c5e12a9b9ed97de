import { lsnToHex, ZERO_LSN } from '../core/lsn.ts';
import { comparePositions, ORIGIN } from '../core/position.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import type { Ground } from '../relay/ground.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { Catalog } from '../source/catalog.ts';
import type { SystemIdentity } from '../source/system-identity.ts';
import type { SnapshotStart } from './snapshot-plan.ts';

/** What both servers say before anything is changed. */
export interface Facts {
  readonly catalog: Catalog;
  readonly identity: SystemIdentity;
  /** Null: Redis has no lane state. */
  readonly lane: LaneState | null;
}

/** Throws the first reason why what Redis remembers does not fit Postgres, but for the snapshot that has not ended. */
export async function judgeFacts(ground: Ground, facts: Facts, start: SnapshotStart): Promise<void> {
  const { lane, catalog, identity } = facts;
  if (lane === null) return;
  const { snapshot: _, ...before } = lane;
  // Killed between the making of the slot and the note of where it begins.
  const isUnnoted = start === 'continue' && lane.floorLsn === ZERO_LSN;
  const floorLsn = isUnnoted ? (catalog.slot?.confirmedLsn ?? ZERO_LSN) : lane.floorLsn;
  try {
    await ground.checkHistory({ ...before, floorLsn }, catalog, identity);
  } catch (thrown) {
    const error = toWalrelayError(thrown);
    // With a new slot both begin anew.
    const isMended = error.code === 'REDIS_BEHIND' || error.code === 'PUBLICATION_CHANGED';
    if (start !== 'anew' || !isMended) throw error;
  }
}

/**
 * From here on no relay starts, since the state says why, and none that is left over can write, since the fence is
 * raised. Before the streams are read: what an interrupted snapshot appended last is in them.
 */
export async function takeLanes(
  ground: Ground,
  facts: Facts & { readonly start: SnapshotStart; readonly began: string; readonly holder: string },
  selection: string,
): Promise<void> {
  const { lanes, settings } = ground;
  const { lane, catalog, identity, start, began, holder } = facts;
  const confirmedLsn = catalog.slot?.confirmedLsn ?? ZERO_LSN;
  const mark = { snapshot: began, snapshot_selection: selection };
  if (lane !== null && start !== 'anew') {
    const held = await lanes.raiseFence(lane.epoch, holder);
    if (start === 'add' && comparePositions(held.watermark, ORIGIN) !== 0) {
      throw new WalrelayError('SNAPSHOT_TOO_LATE', 'a relay has appended events in the meantime');
    }
    const isUnnoted = held.floorLsn === ZERO_LSN;
    await lanes.annotate(isUnnoted ? { ...mark, floor: lsnToHex(confirmedLsn) } : mark);
    return;
  }
  const state: LaneState = {
    epoch: (lane?.epoch ?? 0) + 1,
    fence: lane?.fence ?? 0,
    watermark: ORIGIN,
    // Where the slot begins; unknown before it is made.
    floorLsn: start === 'add' ? confirmedLsn : ZERO_LSN,
    systemId: identity.systemId,
    timeline: identity.timeline,
    slot: settings.slot,
    database: catalog.server.database,
    publicationIdentity: catalog.publication?.identity ?? '',
    routing: ground.shape.routing,
    formats: ground.shape.formats,
    snapshot: began,
    snapshotSelection: selection,
  };
  if (!(await lanes.write(state, lane?.epoch ?? null))) {
    throw new WalrelayError('EPOCH_CHANGED', 'somebody else changed the lane state in the meantime', {
      hint: 'Look again: `walrelay epoch show`.',
    });
  }
  await lanes.raiseFence(state.epoch, holder);
}
