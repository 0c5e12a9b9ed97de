import { clientConfig } from '../config/client-config.ts';
import { formatLsn, type Lsn, lsnToHex, ZERO_LSN } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { Ground } from '../relay/ground.ts';
import { type InitOptions, noteSlot, prepareOutbox } from '../relay/initialize.ts';
import type { Outbox } from '../route/outbox.ts';
import { packShapes } from '../sink/packed-shapes.ts';
import { SNAPSHOT_AT } from '../sink/recovery-script.ts';
import { RecoveryWriter } from '../sink/recovery-writer.ts';
import { findProblems } from '../source/preflight.ts';
import { ReplicationConnection } from '../source/replication-connection.ts';
import { rangeSql } from '../source/row-order.ts';
import { initUnlockSql } from '../source/setup-sql.ts';
import { slotLockSql } from '../source/slot-lock.ts';
import { NO_LIMITS_SQL, SnapshotReader } from '../source/snapshot-reader.ts';
import { idSql } from '../source/row-values.ts';
import { quoteQualified } from '../source/sql.ts';
import { checkReadable, type RowSelection } from './check-readable.ts';
import { exportSnapshot, replaceSlot } from './exported-slot.ts';
import { IdPartitions } from './id-partitions.ts';
import { keepEntries } from './keep-entries.ts';
import { findMissingRows, type MissingRows, rangeFrom, type RowSource } from './missing-rows.ts';
import { readHeld } from './read-held.ts';
import { publishMissing } from './publish-missing.ts';
import { RowSet } from './row-set.ts';
import { type SampleEntry, sampleEntry } from './sample-entry.ts';
import { SlotBudget } from './slot-budget.ts';
import { readSlotIds } from './slot-ids.ts';
import { type Facts, judgeFacts, takeLanes } from './snapshot-lanes.ts';
import { judgeStart, type SnapshotStart } from './snapshot-plan.ts';
import { chooseSelection, type GivenSelection, rememberSelection } from './snapshot-selection.ts';

export interface SnapshotOptions {
  /** Look and count, change nothing. */
  readonly isDryRun: boolean;
  readonly init: InitOptions;
  readonly selection: GivenSelection;
  /** Streams may hold entries already: rows whose ids stand there are skipped. */
  readonly skipsPublished: boolean;
  /** Streams that were trimmed since the snapshot began may get again what they lost. */
  readonly republishesTrimmed: boolean;
  readonly holder: string;
  readonly step: (text: string) => void;
  /** `total`: as far as it is known. */
  readonly count: (
    what: 'entries' | 'events' | 'rows' | 'published',
    done: number,
    total: number | null,
  ) => void;
  readonly now: () => Date;
}

export interface SnapshotReport {
  readonly start: SnapshotStart;
  readonly selection: RowSelection;
  /** Of the selection, at the moment that the rows were read. */
  readonly rows: number;
  /** Entries that stood in the streams before. */
  readonly entries: number;
  /** Events that the slot sends: they are not published from the table. */
  readonly streamed: number;
  /** To be published (dry run) or published. */
  readonly missing: number;
  readonly published: number;
  /** From where the slot streams; null after a dry run that found no slot. */
  readonly slotLsn: string | null;
  /** WAL that the slot keeps on the primary; null where there is none. */
  readonly retainedBytes: number | null;
  /** What the first row would become; only after a dry run. */
  readonly sample: SampleEntry | null;
}

/**
 * `walrelay init --snapshot`: publishes the rows that were there before the slot, and only these: a transaction is either
 * visible in the snapshot that the slot's creation exports, or sent by the slot.
 *
 * It may be killed anywhere: the lane says from the first step to the last that a snapshot is under way, and no relay starts.
 * The exported snapshot is gone then, the slot is not, and it still has all that came after: so the next run reads the
 * rows as they are now, and leaves out what stands in the streams, by the ids, and what the slot will send, by reading
 * the slot up to the moment that it sees the rows of. What is left was there before the slot and is not published yet.
 */
export async function takeSnapshot(ground: Ground, options: SnapshotOptions): Promise<SnapshotReport> {
  const { settings, shape, postgres } = ground;
  const [outbox, ...others] = shape.outboxes;
  if (outbox === undefined || others.length > 0) {
    throw new WalrelayError('CONFIG_INVALID', 'a snapshot is of one outbox, and the settings have several');
  }
  await takeLock(ground);
  await postgres.query(NO_LIMITS_SQL);
  if (!options.isDryRun) await prepareOutbox(ground, options.init, SLOT_PROBLEMS);
  const facts = await readFacts(ground, options);
  const { catalog, lane } = facts;
  const start = judgeStart(catalog, lane, settings);
  await judgeFacts(ground, facts, start);
  const isRaw = catalog.server.serverEncoding === 'SQL_ASCII';
  const config = () => clientConfig(settings, options.holder);
  await using reader = await SnapshotReader.open(config(), { isRaw });
  const selection = chooseSelection(
    options.selection,
    lane?.snapshotSelection ?? null,
    settings.pollOrderColumn,
  );
  const source = await checkReadable(outbox, reader, selection, { what: 'A snapshot', isRaw });
  await countRows(source);
  if (!options.skipsPublished && lane?.snapshot === undefined)
    await requireEmptyStreams(ground, outbox.outbox);

  const began = `began ${options.now().toISOString()}`;
  if (!options.isDryRun) {
    await takeLanes(ground, { ...facts, start, began, holder: options.holder }, rememberSelection(selection));
    await postgres.query(initUnlockSql(shape.expected));
  }
  using partitions = new IdPartitions();
  options.step('reading the ids in the streams');
  const held = await readHeld(ground, outbox.outbox, partitions, (entries) =>
    options.count('entries', entries, null),
  );
  if (lane?.snapshot !== undefined && !options.republishesTrimmed)
    requireUntrimmed([...held.streams.values()]);

  let slotLsn: Lsn | null = null;
  let streamed = 0;
  if (start === 'begin' || start === 'anew') {
    if (options.isDryRun) await reader.begin(null);
    else slotLsn = await beginSlot(ground, facts, reader, options);
  } else {
    slotLsn = catalog.slot?.confirmedLsn ?? ZERO_LSN;
    const untilLsn = await beginBesideSlot(ground, facts, reader, options);
    options.step(
      `reading the slot from ${formatLsn(slotLsn)} to ${formatLsn(untilLsn)}: what it sends is left out`,
    );
    await readSlotIds(config(), {
      settings,
      shape,
      catalog,
      isRaw,
      untilLsn,
      take: (id) => {
        partitions.addHeld(id);
        streamed += 1;
        options.count('events', streamed, null);
      },
    });
  }

  using budget = new SlotBudget(config, {
    slot: settings.slot,
    retainedWarnBytes: settings.walRetainedWarnBytes,
    told: options.step,
  });
  const rows = await countRows(source);
  const missing =
    held.entries === 0 && streamed === 0
      ? allRows(rows)
      : await findMissingRows(source, { ...held, lane: null }, (count) => options.count('rows', count, rows));
  const found = { start, selection, rows, entries: held.entries, streamed, missing: missing.rows.size };
  const slotText = slotLsn === null ? null : formatLsn(slotLsn);
  if (options.isDryRun) {
    const sample = await sampleEntry(source);
    return { ...found, published: 0, slotLsn: slotText, retainedBytes: null, sample };
  }

  budget.start();
  const published = await publish(
    ground,
    source,
    missing,
    options,
    budget,
    `${began}, slot from ${slotText}`,
  );
  // What the slot has lost since would be in neither.
  await budget.look();
  budget.check();
  await keepEntries(ground, options.step);
  await ground.lanes.annotate({ snapshot: '', snapshot_selection: '' });
  await keepEntries(ground, options.step);
  return { ...found, published, slotLsn: slotText, retainedBytes: budget.retainedBytes, sample: null };
}

/** A relay that runs holds it, and so does another snapshot. */
async function takeLock({ postgres, settings }: Ground): Promise<void> {
  const [lock] = await postgres.query(slotLockSql(settings.slot));
  if (String(lock?.['locked']) === 'true') return;
  throw new WalrelayError('SLOT_IN_USE', `the slot ${settings.slot} is in use: its lock is taken`, {
    hint: 'A relay runs, or another snapshot or recovery: stop it first, or wait for its end.',
  });
}

async function readFacts(ground: Ground, { isDryRun, init }: SnapshotOptions): Promise<Facts> {
  const catalog = await ground.readCatalog();
  if (catalog.server.isInRecovery) {
    throw new WalrelayError('PG_READ_ONLY', 'this server is a standby: a snapshot is taken on the primary');
  }
  const tolerated = new Set([...SLOT_PROBLEMS, ...(isDryRun ? ['PUBLICATION_MISSING'] : [])]);
  init.refuse(findProblems(catalog, ground.shape.expected).filter(({ code }) => !tolerated.has(code)));
  if (catalog.slot?.isActive === true) {
    throw new WalrelayError(
      'SLOT_IN_USE',
      `the slot ${ground.settings.slot} is in use (${catalog.slot.holder ?? 'nobody knows by whom'})`,
      { hint: 'A relay runs: stop it first.' },
    );
  }
  return { catalog, identity: await ground.readIdentity(), lane: await ground.lanes.read() };
}

/** How many rows there are to publish. A row without an id is refused: nobody could tell later whether it stands. */
async function countRows(source: RowSource): Promise<number> {
  const { outbox, table: tableName, order, reader } = source;
  const [where = ''] = rangeSql(order, rangeFrom(source.since, source));
  const id = idSql(outbox.mapping.columnId);
  const table = quoteQualified(tableName);
  const [row] = await reader.query(`SELECT count(*), count(${id}) FROM ${table} ${where}`);
  const [rows, withId] = [Number(row?.[0]), Number(row?.[1])];
  if (withId === rows) return rows;
  throw new WalrelayError(
    'COLUMN_UNSUITABLE',
    `${rows - withId} rows have no id (the column ${id} is NULL)`,
    {
      hint: `A snapshot that is interrupted finds by the ids what stands. Leave them out: --where '${id} IS NOT NULL'.`,
    },
  );
}

/** What stands there may be of these very rows, or of others: only an operator knows. */
async function requireEmptyStreams(ground: Ground, outbox: Outbox): Promise<void> {
  using ignored = new IdPartitions();
  const { streams, entries } = await readHeld(ground, outbox, ignored, () => {});
  if (entries === 0) return;
  const names = [...streams.values()].filter((stream) => stream.entries > 0).map(({ name }) => name);
  throw new WalrelayError(
    'SNAPSHOT_IN_DOUBT',
    `streams hold ${entries} entries already (${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}), ` +
      'which may be of the rows that the snapshot would publish',
  );
}

function requireUntrimmed(
  streams: readonly { readonly name: string; readonly hasLostEntries: boolean }[],
): void {
  const trimmed = streams.find(({ hasLostEntries }) => hasLostEntries);
  if (trimmed === undefined) return;
  throw new WalrelayError(
    'SNAPSHOT_IN_DOUBT',
    `the stream ${trimmed.name} had entries trimmed or deleted, as far as this Redis tells, before the snapshot had ended: ` +
      'what it lost would be published again',
    {
      hint: 'If that is right, or nothing was trimmed (Redis 6.2 does not tell), run `walrelay init --snapshot --republish-trimmed`.',
    },
  );
}

/** Makes the slot, and opens the snapshot of its beginning. */
async function beginSlot(
  ground: Ground,
  { catalog }: Facts,
  reader: SnapshotReader,
  { step }: SnapshotOptions,
): Promise<Lsn> {
  const { postgres, settings, lanes } = ground;
  const { slotLsn, snapshot } = await replaceSlot(postgres, settings.slot, catalog, step);
  await reader.begin(snapshot);
  await noteSlot(ground, true);
  await lanes.annotate({ floor: lsnToHex(slotLsn) });
  return slotLsn;
}

/**
 * Opens a snapshot whose place in the WAL is known, beside a slot that began earlier: that of another slot, which is gone at
 * once. Returns the place.
 */
async function beginBesideSlot(
  ground: Ground,
  { catalog }: Facts,
  reader: SnapshotReader,
  { step, holder, isDryRun, now }: SnapshotOptions,
): Promise<Lsn> {
  const { settings } = ground;
  if (!isDryRun) await noteSlot(ground, true);
  const postgres = await ReplicationConnection.open(clientConfig(settings, holder));
  try {
    // A name of its own: that of a killed run may live on for a moment.
    const name = `${settings.slot.slice(0, 48)}_${now().getTime().toString(36)}`;
    const { slotLsn, snapshot } = await exportSnapshot(postgres, name, catalog, step);
    await reader.begin(snapshot);
    return slotLsn;
  } finally {
    await postgres.close(GOODBYE_TIMEOUT_MS);
  }
}

function allRows(rowCount: number): MissingRows {
  return {
    rowCount,
    rows: RowSet.whole(rowCount),
    relayedCount: 0,
    doubtfulCount: 0,
    start: { row: 0, key: null, id: null },
  };
}

async function publish(
  ground: Ground,
  source: RowSource,
  missing: MissingRows,
  options: SnapshotOptions,
  budget: SlotBudget,
  began: string,
): Promise<number> {
  const { settings, lanes, nodes } = ground;
  options.step(`publishing ${missing.rows.size} rows`);
  let notedAtMs = Number.NEGATIVE_INFINITY;
  return publishMissing(source, missing, {
    settings,
    lanes,
    writer: await RecoveryWriter.open(nodes, lanes, {
      shapes: packShapes(source.outbox.shapes, { hasPosition: false }),
      mark: SNAPSHOT_AT,
    }),
    now: options.now,
    command: 'walrelay init --snapshot',
    progress: async (count) => {
      options.count('published', count, missing.rows.size);
      budget.check();
      // For people; what stands is told by the ids.
      if (performance.now() - notedAtMs < NOTE_INTERVAL_MS) return;
      notedAtMs = performance.now();
      await lanes.annotate({ snapshot: `${began}, ${count} of ${missing.rows.size} rows published` });
    },
  });
}

/** Of the slot: whether it has to be made, or made anew, the state of the lane tells. */
const SLOT_PROBLEMS: ReadonlySet<string> = new Set(['SLOT_MISSING', 'SLOT_LOST']);
const GOODBYE_TIMEOUT_MS = 500;
const NOTE_INTERVAL_MS = 1000;
