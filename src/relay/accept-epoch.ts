import { formatLsn, type Lsn, parseLsn, toLsn } from '../core/lsn.ts';
import { comparePositions, formatPosition, ORIGIN, type Position } from '../core/position.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import type { LaneSet } from '../sink/lane-set.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { Catalog } from '../source/catalog.ts';
import { findProblems } from '../source/preflight.ts';
import { createSlot } from './create-slot.ts';
import type { Ground } from './ground.ts';
import { lostFloor } from './history-guard.ts';

/** What a new epoch would mean, told before anything is written. */
export interface EpochProposal {
  readonly replaces: LaneState | null;
  /** Why the relay refuses to go on as it is; null when nothing is wrong. */
  readonly trouble: WalrelayError | null;
  readonly needsSlot: boolean;
  /** From where the slot streams; null when it has yet to be created. */
  readonly startLsn: Lsn | null;
  readonly watermark: Position;
  /** Plain sentences on what consumers may miss or see twice. */
  readonly consequences: readonly string[];
}

/**
 * `walrelay epoch accept`: the operator's explicit way on after a stop for a history that does not fit. The new
 * epoch begins where the slot is; what lies before it is the operator's to judge.
 */
export async function proposeEpoch(ground: Ground): Promise<EpochProposal> {
  const { settings, shape, lanes } = ground;
  const catalog = await ground.readCatalog();
  const problems = findProblems(catalog, shape.expected).filter((found) => found.code !== 'SLOT_MISSING');
  if (problems[0] !== undefined) throw problems[0];
  // After the slot's position: beside a relay that runs, a floor that was read first would lie behind it.
  const replaces = await readLane(lanes, settings.metaKey);
  const startLsn = catalog.slot?.confirmedLsn ?? null;
  const trouble = await findTrouble(ground, catalog, replaces);
  const consequences: string[] = [];

  if (catalog.slot === null) {
    const isSameWal = keepsWatermark(trouble);
    consequences.push(
      'A new slot is created. Events committed' +
        // A position of another history says nothing here.
        (replaces === null || !isSameWal ? '' : ` after ${formatLsn(replaces.floorLsn)} and`) +
        ' before its creation are not relayed unless they stand in a stream already: they may be missing.' +
        (isSameWal && shape.tables.length > 0
          ? ' `walrelay recover` would publish them from the table.'
          : ''),
    );
    for (const { settings: outbox } of shape.messages)
      consequences.push(
        `Messages of ${outbox.name} that were committed before that creation and are not relayed are lost: they stood in the WAL ` +
          'only, and nothing can publish them.',
      );
  } else if (replaces === null) {
    consequences.push(
      `Redis holds no lane state: entries that it lost and the slot has confirmed (before ${formatLsn(startLsn as Lsn)}) stay missing; ` +
        'events after that which do stand in a stream are appended a second time.',
    );
  } else if (startLsn !== null && replaces.floorLsn < startLsn) {
    consequences.push(
      `Events committed between ${formatLsn(replaces.floorLsn)} and ${formatLsn(startLsn)} were confirmed to Postgres, ` +
        'but Redis no longer knows them: they may be missing.',
    );
  }
  for (const part of replaces?.parts ?? []) {
    const lostLsn = startLsn === null ? null : lostFloor(part, startLsn);
    if (lostLsn === null) continue;
    consequences.push(
      `The lane ${part.key} has lost events that were confirmed to Postgres, committed ` +
        `${part.state === null ? '' : `after ${formatLsn(part.state.floorLsn)} and `}up to ${formatLsn(lostLsn)}: they may be ` +
        'missing from its streams.',
    );
  }
  if (trouble?.code === 'RECOVERY_UNFINISHED') {
    consequences.push(
      'A recovery was begun and not ended: events that it has not published yet stay missing. `walrelay recover` would ' +
        'finish it.',
    );
  }
  if (trouble?.code === 'SNAPSHOT_UNFINISHED') {
    consequences.push(
      'A snapshot was begun and not ended: rows that it has not published yet, and that were there before the slot, stay ' +
        'missing. `walrelay init --snapshot` would finish it.',
    );
  }
  const watermark = replaces === null ? ORIGIN : watermarkIn(trouble, replaces.watermark);
  if (replaces !== null && comparePositions(watermark, ORIGIN) === 0 && !keepsWatermark(trouble)) {
    consequences.push(
      `The watermark ${formatPosition(replaces.watermark)} means nothing in this history and is dropped: events that the ` +
        'slot sends again and that stand in a stream already are appended a second time.',
    );
  }
  if (trouble?.code === 'PUBLICATION_CHANGED') {
    consequences.push(
      'Events inserted while the publication did not cover the table were never published: they may be missing.',
    );
  }
  if (trouble?.code === 'TIMELINE_FORK') {
    consequences.push(
      'Streams may hold events that this server never had: the lost primary had committed them. What both have in common ' +
        'is recognised and does not come twice.',
    );
  }
  if (trouble?.code === 'POSTGRES_BEHIND' || trouble?.code === 'TIMELINE_BEHIND') {
    consequences.push('Streams may hold events that this server does not have: it is older than they are.');
  }
  if (replaces !== null && (trouble?.code === 'LANE_FOREIGN' || trouble?.code === 'SYSTEM_CHANGED')) {
    consequences.push(
      `The lane state is taken from the slot ${replaces.slot} of the database ${replaces.database} in the cluster ` +
        `${replaces.systemId}: a relay that still runs there stops.`,
    );
  }
  return {
    replaces,
    trouble,
    needsSlot: catalog.slot === null,
    startLsn,
    watermark,
    consequences,
  };
}

/** Writes the new epoch. Throws when the lane changed since the proposal. */
export async function acceptEpoch(ground: Ground, proposal: EpochProposal): Promise<LaneState> {
  const { postgres, lanes, settings } = ground;
  let startLsn = proposal.startLsn;
  if (proposal.needsSlot) {
    const { server } = await ground.readCatalog();
    startLsn = (await createSlot(postgres, settings.slot, server)).lsn;
  }
  const catalog = await ground.readCatalog();
  const identity = await ground.readIdentity();
  if (startLsn === null) throw new WalrelayError('SLOT_LOST', `the slot ${settings.slot} has no position`);
  const { replaces } = proposal;
  const accepted: LaneState = {
    epoch: (replaces?.epoch ?? 0) + 1,
    fence: replaces?.fence ?? 0,
    watermark: proposal.watermark,
    floorLsn: catalog.slot?.confirmedLsn ?? startLsn,
    systemId: identity.systemId,
    timeline: identity.timeline,
    slot: settings.slot,
    database: catalog.server.database,
    publicationIdentity: catalog.publication?.identity ?? '',
    routing: ground.shape.routing,
    formats: ground.shape.formats,
  };
  if (!(await lanes.write(accepted, replaces?.epoch ?? null))) {
    throw new WalrelayError('EPOCH_CHANGED', 'somebody else changed the lane state in the meantime', {
      hint: 'Look again: `walrelay epoch show`.',
    });
  }
  return accepted;
}

/** A damaged lane state can't be replaced, since nobody knows what it said. */
async function readLane(lanes: LaneSet, metaKey: string): Promise<LaneState | null> {
  try {
    return await lanes.read();
  } catch (thrown) {
    const error = toWalrelayError(thrown);
    if (error.code !== 'REDIS_BEHIND') throw error;
    throw new WalrelayError('REDIS_BEHIND', error.message, {
      cause: error.cause,
      hint:
        `Keep a copy (HGETALL ${metaKey}), then DEL ${metaKey} and run \`walrelay epoch accept\` again: without a ` +
        'watermark, events that the slot sends again and that stand in a stream already are appended a second time.',
    });
  }
}

/** The history first: without a slot, another cluster would pass for this one, and its watermark would skip events. */
async function findTrouble(
  ground: Ground,
  catalog: Catalog,
  lane: LaneState | null,
): Promise<WalrelayError | null> {
  const { slot, metaKey } = ground.settings;
  if (lane !== null) {
    try {
      await ground.checkHistory(lane, catalog, await ground.readIdentity());
    } catch (error) {
      return toWalrelayError(error);
    }
  }
  if (catalog.slot === null) return new WalrelayError('SLOT_MISSING', `the slot ${slot} does not exist`);
  if (lane === null) return new WalrelayError('LANE_MISSING', `Redis has no lane state ${metaKey}`);
  return null;
}

/** In the same unbroken WAL the watermark still tells what stands in the streams; in another it would skip events. */
function keepsWatermark(trouble: WalrelayError | null): boolean {
  const sameWal = [
    'REDIS_BEHIND',
    'PUBLICATION_CHANGED',
    'SLOT_MISSING',
    'RECOVERY_UNFINISHED',
    'SNAPSHOT_UNFINISHED',
  ];
  return trouble === null || sameWal.includes(trouble.code);
}

/** A fork shares the WAL up to where it left: of what stands in the streams, that much is known there as well. */
function watermarkIn(trouble: WalrelayError | null, watermark: Position): Position {
  if (keepsWatermark(trouble)) return watermark;
  const fork = trouble?.code === 'TIMELINE_FORK' ? trouble.facts['forkLsn'] : undefined;
  if (typeof fork !== 'string') return ORIGIN;
  // A commit that begins at the fork is not shared; none begins a byte before, since records are aligned.
  const shared: Position = { commitLsn: toLsn(parseLsn(fork) - 1n), ordinal: 0 };
  return comparePositions(watermark, shared) < 0 ? watermark : shared;
}
