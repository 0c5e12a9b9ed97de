import { formatLsn, type Lsn } from '../core/lsn.ts';
import { formatPosition } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { historiesOf, type LanePart, type LanePartState, type LaneState } from '../sink/lane-state.ts';
import type { Catalog } from '../source/catalog.ts';
import { freshSlotComment } from '../source/setup-sql.ts';
import type { SystemIdentity } from '../source/system-identity.ts';
import { describeIdentityChange } from './publication-identity.ts';

/**
 * Whether what Redis remembers and what Postgres is belong to one unbroken history (G4). Pure. Throws the first
 * reason why not; nothing has been written or confirmed by then.
 */
export interface History {
  readonly lane: LaneState;
  readonly catalog: Catalog;
  readonly identity: SystemIdentity;
  readonly slot: string;
  readonly metaKey: string;
  /** Where the server's timeline left the older ones that the lanes are of. */
  readonly forkLsns: ReadonlyMap<number, Lsn>;
}

export function checkHistory(history: History): void {
  const { lane, catalog, identity, slot, metaKey } = history;
  if (lane.slot !== slot || lane.database !== catalog.server.database) {
    throw new WalrelayError(
      'LANE_FOREIGN',
      `the lane state ${metaKey} belongs to the slot ${lane.slot} of the database ${lane.database}, ` +
        `not to ${slot} of ${catalog.server.database}`,
    );
  }
  const histories = historiesOf(lane);
  for (const { systemId, timeline } of histories) {
    if (systemId !== identity.systemId) {
      throw new WalrelayError(
        'SYSTEM_CHANGED',
        `Redis remembers the Postgres cluster ${systemId}; this is the cluster ${identity.systemId}: another ` +
          'server, or the same data after pg_upgrade or a dump and restore',
      );
    }
    if (identity.timeline < timeline) {
      throw new WalrelayError(
        'TIMELINE_BEHIND',
        `this server is on timeline ${identity.timeline}, Redis has entries from timeline ${timeline}: ` +
          'an old primary, or a restored copy',
      );
    }
  }
  const fork = findFork(histories, history.forkLsns);
  if (fork !== null) {
    throw new WalrelayError(
      'TIMELINE_FORK',
      `the promoted server left the old timeline at ${formatLsn(fork.lsn)}, but Redis ${fork.beyond}`,
      { facts: { forkLsn: formatLsn(fork.lsn) } },
    );
  }
  const newestLsn = lane.watermark.commitLsn > lane.floorLsn ? lane.watermark.commitLsn : lane.floorLsn;
  // The watermark is where its commit record begins: a WAL that ends there does not hold that commit.
  if (catalog.server.walEndLsn < newestLsn || catalog.server.walEndLsn <= lane.watermark.commitLsn) {
    throw new WalrelayError(
      'POSTGRES_BEHIND',
      `Redis holds entries up to ${formatLsn(newestLsn)}, but this server's WAL ends at ` +
        `${formatLsn(catalog.server.walEndLsn)}: it was restored from an older copy`,
    );
  }
  if (lane.recovery !== undefined) {
    throw new WalrelayError(
      'RECOVERY_UNFINISHED',
      `a recovery of the slot ${slot} was begun and has not ended (${lane.recovery})`,
    );
  }
  if (lane.snapshot !== undefined) throw snapshotUnfinished(slot, lane.snapshot);
  const confirmedLsn = catalog.slot?.confirmedLsn ?? null;
  if (confirmedLsn !== null && lane.floorLsn < confirmedLsn) {
    throw new WalrelayError(
      'REDIS_BEHIND',
      `the slot was confirmed up to ${formatLsn(confirmedLsn)}, but Redis remembers only ${formatLsn(lane.floorLsn)}: ` +
        'Redis lost what it had accepted (or is another Redis), or the slot was advanced or re-created by hand. ' +
        'Events between the two may be missing from the streams',
    );
  }
  if (confirmedLsn !== null) for (const part of lane.parts ?? []) checkPart(part, lane.epoch, confirmedLsn);
  const publicationIdentity = catalog.publication?.identity ?? '';
  if (lane.publicationIdentity !== publicationIdentity)
    throw publicationChanged(lane.publicationIdentity, publicationIdentity);
}

/** The earliest fork that a lane has gone past: what is known of the streams on both sides ends there. */
function findFork(
  histories: readonly LanePartState[],
  forkLsns: ReadonlyMap<number, Lsn>,
): { readonly lsn: Lsn; readonly beyond: string } | null {
  let earliest: { readonly lsn: Lsn; readonly beyond: string } | null = null;
  for (const { timeline, watermark, floorLsn } of histories) {
    const lsn = forkLsns.get(timeline);
    if (lsn === undefined || (earliest !== null && earliest.lsn <= lsn)) continue;
    if (watermark.commitLsn >= lsn) {
      const held = `holds entries up to ${formatPosition(watermark)}`;
      earliest = { lsn, beyond: `${held}: the lost primary had committed them, this server has not` };
    } else if (floorLsn > lsn) {
      const noted = `had noted everything up to ${formatLsn(floorLsn)}`;
      earliest = { lsn, beyond: `${noted}: the lost primary's WAL went on to there, this server's did not` };
    }
  }
  return earliest;
}

/** Rows that were there before the slot have yet to be published: nothing that the slot sends may come in front of them. */
export function snapshotUnfinished(slot: string, progress: string): WalrelayError {
  return new WalrelayError(
    'SNAPSHOT_UNFINISHED',
    `a snapshot for the slot ${slot} was begun and has not ended (${progress})`,
  );
}

/**
 * A lane of a cluster may come back without its tail while the others are whole. What it lost is read again when
 * Postgres still has it: then the newest floor that was noted for it and confirmed is still there.
 */
function checkPart(part: LanePart, epoch: number, confirmedLsn: Lsn): void {
  if (part.state !== null && part.state.epoch !== epoch) {
    throw new WalrelayError(
      'REDIS_BEHIND',
      `the lane state ${part.key} is in epoch ${part.state.epoch}, the others in epoch ${epoch}: ` +
        'Redis lost what it had accepted, or `walrelay epoch accept` was interrupted',
    );
  }
  const provenLsn = lostFloor(part, confirmedLsn);
  if (provenLsn === null) return;
  const floorLsn = part.state?.floorLsn ?? null;
  throw new WalrelayError(
    'REDIS_BEHIND',
    `the slot was confirmed up to ${formatLsn(confirmedLsn)} and the lane ${part.key} had entries up to ` +
      `${formatLsn(provenLsn)}, but remembers ${floorLsn === null ? 'nothing' : `only ${formatLsn(floorLsn)}`}: its node lost ` +
      'what it had accepted. Events between the two may be missing from its streams',
  );
}

/** The newest floor that was noted for a lane and confirmed, when the lane no longer remembers it. */
export function lostFloor(part: LanePart, confirmedLsn: Lsn): Lsn | null {
  const provenLsn = part.notedLsns.findLast((lsn) => lsn <= confirmedLsn);
  if (provenLsn === undefined) return null;
  return part.state !== null && part.state.floorLsn >= provenLsn ? null : provenLsn;
}

/** `problems`: what is wrong with the publication as it is now; its fix comes before the new epoch. */
export function publicationChanged(
  before: string,
  now: string,
  problems: readonly WalrelayError[] = [],
): WalrelayError {
  return new WalrelayError(
    'PUBLICATION_CHANGED',
    `${describeIdentityChange(before, now)}: events in between may never have been published. Nothing was confirmed ` +
      `past the last time it was seen unchanged${problems.map(({ message }) => `. Now ${message}`).join('')}`,
    {
      facts: { before, now },
      hint: `${problems.map(({ hint }) => `${hint} Then `).join('')}${WAY_ON}`,
    },
  );
}

const WAY_ON =
  'compare the table with the streams for the time of the change, and go on with `walrelay epoch accept`: it says ' +
  'what may be missing. If inserts into the table were published all the time, nothing is.';

/** The slot is there, Redis knows nothing. Whether that is a fresh start or a loss, the slot's position tells. */
export function laneMissing(
  { metaKey, slot }: { readonly metaKey: string; readonly slot: string },
  catalog: Catalog,
  isFresh: boolean,
): WalrelayError {
  const confirmed = catalog.slot?.confirmedLsn;
  if (isFresh) {
    return new WalrelayError('LANE_MISSING', `the slot is new and Redis has no lane state ${metaKey} yet`, {
      hint: 'Run `walrelay init`: it writes the lane state.',
    });
  }
  if (catalog.slot !== null && isFreshSnapshotSlot(catalog, slot)) {
    return new WalrelayError(
      'LANE_MISSING',
      `the slot is new, began with a snapshot, and Redis has no lane state ${metaKey}: it lost what was published`,
      { hint: 'Run `walrelay init --snapshot`: it publishes the rows that no stream holds.' },
    );
  }
  return new WalrelayError(
    'LANE_MISSING',
    `Redis has no lane state ${metaKey}, but the slot has been in use` +
      `${confirmed === undefined || confirmed === null ? '' : ` (confirmed up to ${formatLsn(confirmed)})`}: ` +
      'Redis was emptied or restored, or REDIS_URL or WALRELAY_META_KEY points elsewhere',
  );
}

/** As long as nothing was confirmed past the slot's creation, a missing lane state is a fresh start, not a loss. */
export function isFreshSlot(catalog: Catalog, slot: string): boolean {
  return isNoted(catalog, slot, false);
}

/** The same for a slot that began with a snapshot: a fresh start begins with the snapshot once more. */
export function isFreshSnapshotSlot(catalog: Catalog, slot: string): boolean {
  return isNoted(catalog, slot, true);
}

function isNoted(catalog: Catalog, slot: string, hasSnapshot: boolean): boolean {
  const confirmedLsn = catalog.slot?.confirmedLsn ?? null;
  return (
    confirmedLsn !== null &&
    catalog.publication?.comment === freshSlotComment(slot, confirmedLsn, hasSnapshot)
  );
}
