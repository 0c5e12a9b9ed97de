import type { OutboxSettings, Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { AuditProgress } from './audit-progress.ts';
import type { AuditReport } from './audit-report.ts';
import { formatUs } from './audit-report.ts';
import { type AuditedTable, readAuditedTable } from './audited-table.ts';
import { Comparison } from './comparison.ts';
import { awaitRelay, type DueBound, dueBound, stillHolds } from './due-bound.ts';
import { Pace } from './pace.ts';
import { type Recoveries, readRecoveries } from './recoveries.ts';
import type { ReadingConnection } from './reading-connection.ts';
import type { RedisByKey } from './redis-by-key.ts';
import { checkSameHistory, positionsOf, readServerState, type ServerState } from './relay-state.ts';
import type { TimeRange } from './row-sql.ts';
import type { ScanRange } from './scan-range.ts';
import type { StreamSet } from './stream-set.ts';
import type { Tally } from './tally.ts';

export interface AuditOptions {
  readonly settings: Settings;
  /** Which of its outboxes. */
  readonly outbox: OutboxSettings;
  readonly range: TimeRange;
  /** Every row should have its entry: nothing was trimmed, and no row is older than the relay. */
  readonly isComplete: boolean;
  /** How long to wait for the relay to pass what was committed when the audit began. */
  readonly waitMs: number;
  /** Rows, and entries, a second; Infinity for as fast as it goes. */
  readonly perSecond: number;
  readonly examplesMax: number;
  readonly tempDir?: string | undefined;
  readonly progress: AuditProgress;
  readonly signal?: AbortSignal;
  /** What an earlier look at the server said: due rows are then those of that time, and nobody has to wait. */
  readonly asOf?: ServerState | undefined;
  /** Where in the streams to look; without it, by the range, and then everywhere. */
  readonly scanRange?: ScanRange;
}

/** An audit with what a repair needs to know of it. */
export interface Audit {
  readonly report: AuditReport;
  readonly table: AuditedTable;
  readonly tally: Tally;
  readonly streams: StreamSet;
  readonly bound: DueBound;
  /** Before any entry was read. */
  readonly lane: LaneState;
  /** How often `audit --repair` had appended by then, by the key of the lane. */
  readonly recoveries: Recoveries;
}

/**
 * Compares the rows with the entries. What makes a false alarm impossible, in this order: the server is read, then the
 * lane (which rows the relay has passed), then rows and entries, then the streams' bounds (what was trimmed meanwhile),
 * then the lane and the data set again: if either went back, nothing that was concluded holds (AUDIT_OVERTAKEN).
 */
export async function runAudit(
  postgres: ReadingConnection,
  redis: RedisByKey,
  options: AuditOptions,
): Promise<Audit> {
  const { settings, outbox, range, progress } = options;
  const startedMs = Date.now();
  const table = await readAuditedTable(postgres, outbox, settings);
  const dataSet = await redis.dataSetIdentity();
  const first = await redis.readLane();
  const recoveries = await readRecoveries(redis, first, settings.metaKey);
  const present = await readServerState(postgres, settings.slot);
  checkSameHistory(first, present, settings);
  const server = options.asOf ?? present;
  progress.step({ phase: 'waiting for the relay', rows: 0, entries: 0, done: null });
  const lane = await awaitRelay(server, options.waitMs, () => redis.readLane());
  const bound = dueBound(server, lane);

  const pace = new Pace(options.perSecond, options.signal);
  using comparison = new Comparison({ ...options, postgres, redis, table, bound, pace });
  await comparison.readRows();
  await comparison.readEntries();
  const tally = await comparison.judge();

  const after = await redis.readLane();
  if (!stillHolds(bound, lane, after) || (await redis.dataSetIdentity()) !== dataSet) throw overtaken();

  const { sinceUs } = comparison.bounds;
  const report: AuditReport = {
    table: table.name,
    startedAt: new Date(startedMs).toISOString(),
    seconds: Math.round((Date.now() - startedMs) / 100) / 10,
    range: {
      from: range.fromUs === null ? null : formatUs(range.fromUs),
      to: range.toUs === null ? null : formatUs(range.toUs),
      timeColumn: table.timeColumn,
    },
    rows: comparison.rowCount,
    entries: comparison.entryCount,
    streams: comparison.streamCount,
    findings: tally.findings,
    notes: tally.notes,
    examples: tally.examples,
    relay: {
      ...positionsOf(lane, server),
      judgedBy: bound.from,
      since: sinceUs === null ? null : formatUs(sinceUs),
      ...(lane.cleanUp === undefined ? {} : { isCleanedUp: true as const }),
    },
    spoolBytes: comparison.spoolBytes,
  };
  return { report, table, tally, streams: comparison.streams, bound, lane, recoveries };
}

export function overtaken(): WalrelayError {
  return new WalrelayError(
    'AUDIT_OVERTAKEN',
    'Redis or the lane state changed under the audit (a failover, a restart, a new epoch): what was read does not belong together',
  );
}
