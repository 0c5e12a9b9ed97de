import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { Repairer } from '../sink/republisher.ts';
import type { AuditProgress } from './audit-progress.ts';
import type { RepairReport } from './audit-report.ts';
import { ID_BYTES_MAX } from './audit-record.ts';
import { Pace } from './pace.ts';
import type { ReadingConnection } from './reading-connection.ts';
import type { RedisByKey } from './redis-by-key.ts';
import { seenLane } from './recoveries.ts';
import { readServerState } from './relay-state.ts';
import { republish } from './republish.ts';
import type { Audit } from './run-audit.ts';
import type { StreamSet } from './stream-set.ts';
import type { MissingRow } from './tally.ts';
import { isXidBefore } from './transaction-ids.ts';

export interface RepairOptions {
  readonly settings: Settings;
  readonly waitMs: number;
  readonly perSecond: number;
  readonly progress: AuditProgress;
  readonly signal?: AbortSignal;
}

/**
 * Appends what the audit found missing, marked as recovered. Only what the slot can never send again: transactions before
 * its catalog_xmin. Postgres writes that down together with a confirmed position behind all of them, so not even after a
 * crash are they decoded once more; and so a relay that runs, or starts, at this moment can't append them as well.
 */
export async function repair(
  audit: Audit,
  postgres: ReadingConnection,
  redis: RedisByKey,
  options: RepairOptions,
): Promise<RepairReport> {
  const { settings, progress } = options;
  const { report, table, lane, recoveries, tally } = audit;
  const candidates = tally.missing.filter(
    ({ row, rowsOfId }) => rowsOfId === 1 && row.id.length < ID_BYTES_MAX / 4,
  );
  const safe = await awaitSlot(candidates, postgres, options);
  let recovered = 0;
  for (const rows of byLane(safe.toSorted(byTime), redis, audit.streams)) {
    const [first] = rows;
    const stream = first === undefined ? '' : audit.streams.nameOf(first.row.stream);
    const seen = seenLane(redis, stream, lane, recoveries);
    if (seen === null) continue;
    await republish(
      rows.map(({ row }) => row.id),
      {
        settings,
        postgres,
        table,
        router: table.outbox.createRouter(),
        publisher: new Repairer(redis.forKey(seen.key), seen, Date.now),
        pace: new Pace(options.perSecond, options.signal),
        published: (events) => {
          recovered += events;
          progress.step({
            phase: 'recovering',
            rows: report.rows,
            entries: report.entries,
            done: recovered / safe.length,
          });
        },
      },
    );
  }
  return { isDone: true, recovered, left: report.findings.missing - recovered };
}

/** A script reaches one lane; within each, the order stays. */
function byLane(rows: readonly MissingRow[], redis: RedisByKey, streams: StreamSet): MissingRow[][] {
  const lanes = new Map<string, MissingRow[]>();
  for (const missing of rows) {
    const key = redis.laneKeyOf(streams.nameOf(missing.row.stream));
    const lane = lanes.get(key);
    if (lane === undefined) lanes.set(key, [missing]);
    else lane.push(missing);
  }
  return [...lanes.values()];
}

/** Those that the slot can't send again, once all are or the wait is over. */
async function awaitSlot(
  candidates: readonly MissingRow[],
  postgres: ReadingConnection,
  { settings, waitMs, signal }: RepairOptions,
): Promise<MissingRow[]> {
  const deadlineMs = performance.now() + waitMs;
  for (;;) {
    signal?.throwIfAborted();
    const { slot } = await readServerState(postgres, settings.slot);
    if (slot === null) throw new WalrelayError('SLOT_MISSING', `the slot ${settings.slot} does not exist`);
    const { catalogXmin } = slot;
    const safe =
      catalogXmin === null ? [] : candidates.filter(({ row }) => isXidBefore(row.xid, catalogXmin));
    if (safe.length === candidates.length || performance.now() >= deadlineMs) return safe;
    await sleep(LOOK_MS);
  }
}

const LOOK_MS = 500;

/** As far as the table tells, the order of the commits: by the time of the inserts, then by transaction. */
function byTime(a: MissingRow, b: MissingRow): number {
  const aUs = a.row.timeUs ?? 0n;
  const bUs = b.row.timeUs ?? 0n;
  if (aUs !== bUs) return aUs < bUs ? -1 : 1;
  if (a.row.xid === b.row.xid) return a.row.ordinal - b.row.ordinal;
  return isXidBefore(a.row.xid, b.row.xid) ? -1 : 1;
}
