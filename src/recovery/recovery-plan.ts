import { formatLsn } from '../core/lsn.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import type { Ground } from '../relay/ground.ts';
import { snapshotUnfinished } from '../relay/history-guard.ts';
import type { RelayShape } from '../relay/relay-shape.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { Catalog } from '../source/catalog.ts';
import { findProblems, isLost, whyLost } from '../source/preflight.ts';
import { slotLockSql } from '../source/slot-lock.ts';
import { quoteLiteral } from '../source/sql.ts';
import type { SystemIdentity } from '../source/system-identity.ts';

/** What a recovery finds and would do, told before anything is changed. */
export interface RecoveryPlan {
  readonly catalog: Catalog;
  readonly identity: SystemIdentity;
  /** Null: Redis has no lane state. */
  readonly lane: LaneState | null;
  readonly reason: 'lost' | 'missing' | 'unfinished';
  /** Plain sentences on what is wrong and what that means. */
  readonly findings: readonly string[];
}

/**
 * Looks at both servers and takes the slot's lock, which a running relay holds. Throws whatever keeps a recovery from
 * being the right thing: a slot that is healthy, a relay that runs, another history than that of the streams.
 */
export async function planRecovery(ground: Ground): Promise<RecoveryPlan> {
  const { settings, shape, postgres } = ground;
  if (shape.tables.length === 0) {
    throw new WalrelayError(
      'CONFIG_INVALID',
      'a recovery publishes from a table what the streams lack, and no outbox has one: messages that were not relayed are gone with the WAL',
      {
        hint:
          `Drop the slot if there is one left (SELECT pg_drop_replication_slot(${quoteLiteral(settings.slot)});), then ` +
          '`walrelay epoch accept`: it makes a new one.',
      },
    );
  }
  const catalog = await ground.readCatalog();
  const [problem] = findProblems(catalog, shape.expected).filter(
    ({ code }) => code !== 'SLOT_MISSING' && code !== 'SLOT_LOST',
  );
  if (problem !== undefined) throw problem;
  if (catalog.server.isInRecovery) {
    throw new WalrelayError('PG_READ_ONLY', 'this server is a standby: a slot is recovered on the primary');
  }
  const [lock] = await postgres.query(slotLockSql(settings.slot));
  if (catalog.slot?.isActive === true || String(lock?.['locked']) !== 'true') {
    throw new WalrelayError(
      'SLOT_IN_USE',
      `the slot ${settings.slot} is in use (${catalog.slot?.holder ?? 'its lock is taken'})`,
      {
        hint: 'A relay runs, or another recovery: stop it first. A relay that streams has a healthy slot.',
      },
    );
  }
  const lane = await ground.lanes.read();
  if (lane?.snapshot !== undefined) throw snapshotUnfinished(settings.slot, lane.snapshot);
  const identity = await ground.readIdentity();
  const reason =
    catalog.slot === null
      ? 'missing'
      : isLost(catalog.slot)
        ? 'lost'
        : lane?.recovery === undefined
          ? null
          : 'unfinished';
  if (reason === null) throw healthySlot(settings.slot);
  if (lane !== null) await checkSameHistory(ground, lane, catalog, identity);
  return {
    catalog,
    identity,
    lane,
    reason,
    findings: [...describe(settings.slot, catalog, lane), ...lostMessages(shape)],
  };
}

/** In any other history than its own the lane state says nothing; what may be mended by a comparison does not matter. */
async function checkSameHistory(
  ground: Ground,
  lane: LaneState,
  catalog: Catalog,
  identity: SystemIdentity,
): Promise<void> {
  try {
    await ground.checkHistory(lane, catalog, identity);
  } catch (thrown) {
    const error = toWalrelayError(thrown);
    if (!MENDED.has(error.code)) throw error;
  }
}

/** Missing entries, whether Redis lost them or the publication left them out, are found by their ids. */
const MENDED: ReadonlySet<string> = new Set(['RECOVERY_UNFINISHED', 'REDIS_BEHIND', 'PUBLICATION_CHANGED']);

function healthySlot(slot: string): WalrelayError {
  return new WalrelayError(
    'SLOT_HEALTHY',
    `the slot ${quoteLiteral(slot)} is there and holds its WAL: nothing has to be recovered`,
  );
}

function lostMessages({ messages }: RelayShape): string[] {
  return messages.map(
    ({ settings: { name } }) =>
      `Messages of ${name} that were not relayed are lost with the WAL: there is no table to publish them from.`,
  );
}

function describe(slot: string, catalog: Catalog, lane: LaneState | null): string[] {
  const findings: string[] = [];
  if (catalog.slot === null) findings.push(`The slot ${slot} does not exist.`);
  else if (isLost(catalog.slot)) {
    findings.push(`The slot ${slot} was invalidated (${whyLost(catalog.slot)}): the WAL it needs is gone.`);
  }
  if (lane?.recovery !== undefined) {
    findings.push(
      `A recovery was begun and not ended: ${lane.recovery}. What it re-published is found by the ids; its slot is replaced.`,
    );
  }
  if (lane === null) {
    findings.push(
      'Redis has no lane state: rows of streams that do not exist are taken as never relayed, and all of them are published.',
    );
  } else {
    findings.push(`Redis remembers the slot up to ${formatLsn(lane.floorLsn)}.`);
  }
  return findings;
}
