import { clientConfig } from '../config/client-config.ts';
import { formatLsn, type Lsn, lsnToHex, ZERO_LSN } from '../core/lsn.ts';
import { comparePositions, ORIGIN } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { createExportedSlot } from '../relay/create-slot.ts';
import type { Ground } from '../relay/ground.ts';
import type { LaneState } from '../sink/lane-state.ts';
import { DurabilityWait } from '../sink/durability-wait.ts';
import { RecoveryWriter } from '../sink/recovery-writer.ts';
import { readStreamIds, type StreamFacts } from '../sink/stream-ids.ts';
import { escapeGlob, StreamReader } from '../sink/stream-reader.ts';
import { findRowOrder, type RowOrder } from '../source/row-order.ts';
import { NO_LIMITS_SQL, SnapshotReader } from '../source/snapshot-reader.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../source/sql.ts';
import { IdPartitions } from './id-partitions.ts';
import { findMissingRows, type HeldEntries, type MissingRows, type RowSource } from './missing-rows.ts';
import type { RecoveryPlan } from './recovery-plan.ts';
import { publishMissing } from './publish-missing.ts';
import type { LaneHistory } from './stream-horizon.ts';

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
  const { settings, shape } = ground;
  const isRaw = plan.catalog.server.serverEncoding === 'SQL_ASCII';
  await using reader = await SnapshotReader.open(clientConfig(settings, options.holder), { isRaw });
  const order = await checkTable(ground, reader, options);
  const source: RowSource = { reader, shape, order, since: options.since, isRaw };
  using partitions = new IdPartitions();

  const began = `began ${options.now().toISOString()}`;
  const state = takenLane(ground, plan, began);
  if (!options.isDryRun) await takeLanes(ground, plan, state, options.holder);
  options.step('reading the ids in the streams');
  const held = await readHeld(ground, plan, partitions, options);

  let slotLsn: Lsn | null = null;
  let snapshot: string | null = null;
  if (!options.isDryRun) ({ slotLsn, snapshot } = await replaceSlot(ground, plan, options));
  await reader.begin(snapshot);
  options.step('comparing the rows of the table with them');
  const [estimate] = await reader.query(estimateSql(quoteQualified(shape.expected.table)));
  const total = Number(estimate?.[0] ?? 0);
  const missing = await findMissingRows(source, held, (rows) =>
    options.count('rows', rows, total > rows ? total : null),
  );
  const found = report(held, missing);
  if (slotLsn === null) return found;
  if (missing.doubtfulCount > 0) throw inDoubt(found, order);

  const slotText = formatLsn(slotLsn);
  options.step(`publishing ${missing.rows.size} events that no stream holds`);
  const note = (count: number) =>
    ground.lanes.annotate({ recovery: `${began}, slot from ${slotText}, ${count} events re-published` });
  const published = await publishMissing(source, missing, {
    settings,
    lanes: ground.lanes,
    writer: await RecoveryWriter.open(ground.nodes, ground.lanes),
    now: options.now,
    progress: async (count) => {
      options.count('published', count, missing.rows.size);
      await note(count);
    },
  });
  await keepEntries(ground, options);
  await ground.lanes.annotate({ recovery: '', floor: lsnToHex(slotLsn) });
  await keepEntries(ground, options);
  return { ...found, published, slotLsn: slotText, epoch: state.epoch };
}

/** What must not fail later: by then the fence is raised and the old slot gone. */
async function checkTable(
  ground: Ground,
  reader: SnapshotReader,
  options: RecoveryOptions,
): Promise<RowOrder> {
  const { expected, columns } = ground.shape;
  const table = quoteQualified(expected.table);
  try {
    const list = columns.names.map(quoteIdentifier).join(', ');
    await reader.query(`SELECT ${list} FROM ${table} LIMIT 0`);
    const order = await findRowOrder(reader, expected, options.orderColumn);
    if (options.since !== null) {
      const key = quoteIdentifier(order.column);
      await reader.query(`SELECT 1 FROM ${table} WHERE ${key} >= ${quoteLiteral(options.since)} LIMIT 0`);
    }
    return order;
  } catch (error) {
    if (error instanceof WalrelayError && error.code === 'PG_REFUSED' && options.since !== null) {
      throw new WalrelayError(
        'CONFIG_INVALID',
        `--since ${JSON.stringify(options.since)}: ${error.message}`,
        {
          cause: error,
          hint: `Give a value of the type of the column ${quoteIdentifier(options.orderColumn)}, as '2026-11-21 08:00+00'.`,
        },
      );
    }
    if (!(error instanceof WalrelayError) || error.code !== 'PG_PRIVILEGE') throw error;
    throw new WalrelayError('PG_PRIVILEGE', error.message, {
      cause: error,
      hint:
        `A recovery reads the table, which a relay does not: GRANT USAGE ON SCHEMA ${quoteIdentifier(expected.table.schema)} TO …; ` +
        `GRANT SELECT ON ${table} TO …; (with row security: a role that it does not apply to).`,
    });
  }
}

async function readHeld(
  ground: Ground,
  plan: RecoveryPlan,
  partitions: IdPartitions,
  options: RecoveryOptions,
): Promise<HeldEntries & { readonly entries: number }> {
  const streams = new Map<string, StreamFacts>();
  let entries = 0;
  let oldestCommittedUs: number | null = null;
  let newestCommittedUs: number | null = null;
  const pattern = ground.shape.template.literals.map(escapeGlob).join('*');
  for (const node of ground.nodes.writers) {
    for await (const name of new StreamReader(node).names(pattern)) {
      const facts = await readStreamIds(node, name, (id) => {
        partitions.addHeld(id);
        entries += 1;
        if (entries % 1000 === 0) options.count('entries', entries, null);
      });
      streams.set(name, facts);
      if (facts.oldestCommittedUs === null || facts.newestCommittedUs === null) continue;
      oldestCommittedUs = Math.min(oldestCommittedUs ?? Number.POSITIVE_INFINITY, facts.oldestCommittedUs);
      newestCommittedUs = Math.max(newestCommittedUs ?? 0, facts.newestCommittedUs);
    }
  }
  options.count('entries', entries, null);
  const lane: LaneHistory = {
    hasRelayed: plan.lane !== null && comparePositions(plan.lane.watermark, ORIGIN) !== 0,
    oldestCommittedUs,
    newestCommittedUs,
  };
  return { partitions, streams, lane, entries };
}

async function replaceSlot(
  ground: Ground,
  plan: RecoveryPlan,
  options: RecoveryOptions,
): Promise<{ readonly slotLsn: Lsn; readonly snapshot: string }> {
  const { postgres, settings } = ground;
  await postgres.query(NO_LIMITS_SQL);
  if (plan.catalog.slot !== null) {
    await postgres.query(`SELECT pg_drop_replication_slot(${quoteLiteral(settings.slot)})`);
    options.step(`the old slot ${settings.slot} is dropped`);
  }
  const waiting = setInterval(() => {
    options.step(
      'waiting for transactions to end that are open: a slot begins after them (pg_stat_activity shows them)',
    );
  }, WAITING_NOTE_MS);
  try {
    const { lsn, snapshot, refusal } = await createExportedSlot(postgres, settings.slot, plan.catalog.server);
    options.step(`a new slot streams from ${formatLsn(lsn)}`);
    if (refusal !== null) options.step(`it is lost when a standby is promoted, since ${refusal}`);
    return { slotLsn: lsn, snapshot };
  } finally {
    clearInterval(waiting);
  }
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

/** Waits until what was written is durable: at the level that is set, and on the disk where Redis can tell. */
async function keepEntries(ground: Ground, options: RecoveryOptions): Promise<void> {
  const { durability, redisTimeoutMs } = ground.settings;
  const wait = new DurabilityWait(durability, redisTimeoutMs, options.step);
  for (const node of ground.nodes.writers) {
    await wait.wait(node);
    if (durability.level === 'fsync') continue;
    try {
      await node.command('waiting for the disk', 'WAITAOF', 1, 0, Math.min(2000, redisTimeoutMs / 2));
    } catch (error) {
      // Before Redis 7.2, or without an append-only file, or without the right: there is nothing to wait for.
      if (error instanceof WalrelayError && error.disposition === 'retry') throw error;
    }
  }
}

function report(held: HeldEntries & { readonly entries: number }, missing: MissingRows): RecoveryReport {
  const newest = held.lane.newestCommittedUs;
  return {
    streams: held.streams.size,
    entries: held.entries,
    rows: missing.rowCount,
    missing: missing.rows.size,
    published: 0,
    takenAsRelayed: missing.relayedCount,
    doubtful: missing.doubtfulCount,
    newestCommitted: newest === null ? null : new Date(newest / 1000).toISOString(),
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

const WAITING_NOTE_MS = 10_000;
