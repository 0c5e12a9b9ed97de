import { clientConfig } from '../config/client-config.ts';
import { formatLsn, type Lsn, lsnToHex, ZERO_LSN } from '../core/lsn.ts';
import { comparePositions, ORIGIN } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { Ground } from '../relay/ground.ts';
import type { LaneState } from '../sink/lane-state.ts';
import { RECOVERED_AT } from '../sink/recovery-script.ts';
import { packShapes } from '../sink/packed-shapes.ts';
import { RecoveryWriter } from '../sink/recovery-writer.ts';
import type { RowOrder } from '../source/row-order.ts';
import { SnapshotReader } from '../source/snapshot-reader.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../source/sql.ts';
import { checkReadable } from './check-readable.ts';
import { replaceSlot } from './exported-slot.ts';
import { IdPartitions } from './id-partitions.ts';
import { keepEntries } from './keep-entries.ts';
import { findMissingRows, type MissingRows, type RowScan, type RowSource } from './missing-rows.ts';
import { publishMissing } from './publish-missing.ts';
import { type HeldIds, type HeldTable, readHeld } from './read-held.ts';
import type { RecoveryPlan } from './recovery-plan.ts';

export interface RecoveryOptions {
  /** Look and count, change nothing. */
  readonly isDryRun: boolean;
  readonly orderColumn: string;
  /** A literal of the order column: see RowSource. */
  readonly since: string | null;
  readonly holder: string;
  readonly step: (text: string) => void;
  /** `total`: as far as it is known. */
  readonly count: (what: 'entries' | 'rows' | 'published', done: number, total: number | null) => void;
  readonly now: () => Date;
}

export interface RecoveryReport {
  readonly streams: number;
  readonly entries: number;
  readonly rows: number;
  /** In no stream, to be published (dry run) or published. */
  readonly missing: number;
  readonly published: number;
  /** In no stream, but older than everything that their streams still hold: taken as relayed. */
  readonly takenAsRelayed: number;
  /** In no stream, and nothing tells whether they were. */
  readonly doubtful: number;
  /** When the newest entry of all streams was committed. */
  readonly newestCommitted: string | null;
  /** From where the new slot streams; null after a dry run. */
  readonly slotLsn: string | null;
  readonly epoch: number | null;
}

/**
 * `walrelay recover`: a slot is gone, and with it the WAL that was not relayed; the rows are still in the table. A new slot
 * is made with a snapshot of its consistent point, so that every row is in the snapshot or comes through the slot, and never
 * both. Rows of the snapshot that no stream holds are published, then the lane is handed to a new epoch.
 *
 * It may be killed anywhere: the lane says from the first step to the last that a recovery is under way, no relay starts,
 * and the next recovery begins anew. It finds what stands by the ids.
 */
export async function recover(
  ground: Ground,
  plan: RecoveryPlan,
  options: RecoveryOptions,
): Promise<RecoveryReport> {
  const { settings } = ground;
  const isRaw = plan.catalog.server.serverEncoding === 'SQL_ASCII';
  await using reader = await SnapshotReader.open(clientConfig(settings, options.holder), { isRaw });
  const selection = { orderColumn: options.orderColumn, since: options.since, where: null };
  const sources: RowSource[] = [];
  for (const outbox of ground.shape.tables)
    sources.push(await checkReadable(outbox, reader, selection, { what: 'A recovery', isRaw }));
  using partitions = new IdPartitions();

  const began = `began ${options.now().toISOString()}`;
  const state = takenLane(ground, plan, began);
  if (!options.isDryRun) await takeLanes(ground, plan, state, options.holder);
  options.step('reading the ids in the streams');
  const outboxes = sources.map(({ outbox }) => outbox);
  const held = await readHeld(ground, outboxes, partitions, (entries) =>
    options.count('entries', entries, null),
  );

  let slotLsn: Lsn | null = null;
  let snapshot: string | null = null;
  if (!options.isDryRun) {
    const { postgres } = ground;
    ({ slotLsn, snapshot } = await replaceSlot(postgres, settings.slot, plan.catalog, options.step));
  }
  await reader.begin(snapshot);
  options.step('comparing the rows of the table with them');
  const hasRelayed = plan.lane !== null && comparePositions(plan.lane.watermark, ORIGIN) !== 0;
  const scans = sources.map((source, number): RowScan => {
    const table = held.tables[number] as HeldTable;
    const { streams } = table;
    return {
      source,
      streams,
      lane: { hasRelayed, ...table },
      scope: number,
      sharedScopes: held.sharedScopes,
    };
  });
  let estimate = 0;
  for (const { table } of sources) {
    const [row] = await reader.query(estimateSql(quoteQualified(table)));
    estimate += Number(row?.[0] ?? 0);
  }
  const missing = await findMissingRows(scans, partitions, (rows) =>
    options.count('rows', rows, estimate > rows ? estimate : null),
  );
  const found = report(held, missing);
  if (slotLsn === null) return found;
  const doubted = sources.find((_, number) => (missing[number]?.doubtfulCount ?? 0) > 0);
  if (doubted !== undefined) throw inDoubt(found, doubted.order);

  const slotText = formatLsn(slotLsn);
  options.step(`publishing ${found.missing} events that no stream holds`);
  const note = (count: number) =>
    ground.lanes.annotate({ recovery: `${began}, slot from ${slotText}, ${count} events re-published` });
  let published = 0;
  for (const [number, source] of sources.entries()) {
    const before = published;
    const shapes = packShapes(source.outbox.shapes, { hasPosition: false });
    published += await publishMissing(source, missing[number] as MissingRows, {
      settings,
      lanes: ground.lanes,
      writer: await RecoveryWriter.open(ground.nodes, ground.lanes, { shapes, mark: RECOVERED_AT }),
      now: options.now,
      command: 'walrelay recover',
      progress: async (count) => {
        options.count('published', before + count, found.missing);
        await note(before + count);
      },
    });
  }
  await keepEntries(ground, options.step);
  await ground.lanes.annotate({ recovery: '', floor: lsnToHex(slotLsn) });
  await keepEntries(ground, options.step);
  return { ...found, published, slotLsn: slotText, epoch: state.epoch };
}

/**
 * The lane state for the time of the recovery, and after it but for the floor: a slot of its own is a history of its own, so
 * a new epoch. The WAL is the same, so the watermark still tells what stands; the new slot begins behind it. The publication is
 * noted as it was before the slot was made: had it been altered since, rows might be in neither, and the relay stops for that.
 */
function takenLane(ground: Ground, plan: RecoveryPlan, recovery: string): LaneState {
  const { lane, identity, catalog } = plan;
  return {
    epoch: (lane?.epoch ?? 0) + 1,
    fence: lane?.fence ?? 0,
    watermark: lane?.watermark ?? ORIGIN,
    floorLsn: lane?.floorLsn ?? ZERO_LSN,
    systemId: identity.systemId,
    timeline: identity.timeline,
    slot: ground.settings.slot,
    database: catalog.server.database,
    publicationIdentity: catalog.publication?.identity ?? '',
    routing: ground.shape.routing,
    formats: ground.shape.formats,
    recovery,
    // Every row of the table is accounted for by the end of it: the clean-up goes on where it was.
    ...(lane?.cleanUp === undefined ? {} : { cleanUp: lane.cleanUp }),
  };
}

/**
 * From here on no relay can write, since epoch and fence are others, and none starts, since the state says why. Before the
 * streams are read: what a relay appended last is in them.
 */
async function takeLanes(
  ground: Ground,
  plan: RecoveryPlan,
  state: LaneState,
  holder: string,
): Promise<void> {
  if (!(await ground.lanes.write(state, plan.lane?.epoch ?? null))) {
    throw new WalrelayError('EPOCH_CHANGED', 'somebody else changed the lane state in the meantime', {
      hint: 'Look again: `walrelay epoch show`.',
    });
  }
  await ground.lanes.raiseFence(state.epoch, holder);
}

function report(held: HeldIds, missing: readonly MissingRows[]): RecoveryReport {
  const newest = held.tables.flatMap(({ newestCommittedUs }) => newestCommittedUs ?? []);
  const sumOf = (count: (rows: MissingRows) => number) => missing.reduce((sum, rows) => sum + count(rows), 0);
  return {
    streams: new Set(held.tables.flatMap(({ streams }) => [...streams.keys()])).size,
    entries: held.entries,
    rows: sumOf(({ rowCount }) => rowCount),
    missing: sumOf(({ rows }) => rows.size),
    published: 0,
    takenAsRelayed: sumOf(({ relayedCount }) => relayedCount),
    doubtful: sumOf(({ doubtfulCount }) => doubtfulCount),
    newestCommitted: newest.length === 0 ? null : new Date(Math.max(...newest) / 1000).toISOString(),
    slotLsn: null,
    epoch: null,
  };
}

function inDoubt(found: RecoveryReport, order: RowOrder): WalrelayError {
  const why = order.isTime
    ? 'their streams are gone, hold no relayed entry or had entries deleted, or the rows are older than every entry'
    : `the order column ${quoteIdentifier(order.column)} is no timestamptz, which could be compared with the entries`;
  const newest =
    found.newestCommitted === null ? '' : ` The newest entry was committed at ${found.newestCommitted}.`;
  return new WalrelayError(
    'RECOVERY_IN_DOUBT',
    `${found.doubtful} rows are in no stream, and nothing tells whether they were relayed: ${why}.${newest} Nothing was published`,
  );
}

function estimateSql(table: string): string {
  return `SELECT sum(greatest(c.reltuples, 0))::bigint FROM pg_class c
    WHERE c.oid IN (SELECT relid FROM pg_partition_tree(${quoteLiteral(table)}::regclass) WHERE isleaf
                    UNION SELECT ${quoteLiteral(table)}::regclass)`;
}
