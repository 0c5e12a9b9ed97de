import { formatLsn } from '../core/lsn.ts';
import { comparePositions, ORIGIN } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { isFreshSlot, isFreshSnapshotSlot, laneMissing } from '../relay/history-guard.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { Catalog } from '../source/catalog.ts';
import { isLost } from '../source/preflight.ts';

/**
 * What a snapshot finds. Pure.
 *
 * begin     nothing is there: it makes the slot, and the slot's own snapshot is what it publishes
 * add       a slot is there that no relay has streamed from: it publishes what was there before that slot
 * continue  a snapshot was interrupted, its slot is there: it publishes what that one did not
 * anew      a snapshot was interrupted and its slot is lost: another one is made, and what stands is skipped
 */
export type SnapshotStart = 'begin' | 'add' | 'continue' | 'anew';

/** Throws when entries would stand behind what was relayed, or when nobody can tell. */
export function judgeStart(
  catalog: Catalog,
  lane: LaneState | null,
  names: { readonly slot: string; readonly metaKey: string },
): SnapshotStart {
  const { slot } = catalog;
  const isMissing = slot === null || isLost(slot);
  if (lane?.snapshot !== undefined) return isMissing ? 'anew' : 'continue';
  if (lane === null) {
    if (slot === null) return 'begin';
    if (isFreshSlot(catalog, names.slot) || isFreshSnapshotSlot(catalog, names.slot)) return 'add';
    throw laneMissing(names, catalog, false);
  }
  if (lane.recovery === undefined && lane.epoch === 1 && comparePositions(lane.watermark, ORIGIN) === 0) {
    if (!isMissing) return 'add';
    throw new WalrelayError('SLOT_MISSING', `the slot ${names.slot} is gone, but Redis remembers it`, {
      hint: 'Run `walrelay recover`: it makes a new slot and publishes all rows that no stream holds.',
    });
  }
  throw new WalrelayError(
    'SNAPSHOT_TOO_LATE',
    `a relay, or a snapshot that came to its end, has been at work with the slot ${names.slot} (epoch ${lane.epoch}, up to ${formatLsn(lane.watermark.commitLsn)}): ` +
      'rows that were there before it would come behind newer ones',
  );
}
