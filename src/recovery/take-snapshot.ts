import { clientConfig } from '../config/client-config.ts';
import { hasTable, requireTable } from '../config/outbox-source.ts';
import type { OutboxSettings, Settings } from '../config/settings.ts';
import { formatLsn } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { Ground } from '../relay/ground.ts';
import { type InitOptions, prepareOutbox } from '../relay/initialize.ts';
import { packShapes } from '../sink/packed-shapes.ts';
import { SNAPSHOT_AT } from '../sink/recovery-script.ts';
import { RecoveryWriter } from '../sink/recovery-writer.ts';
import type { StreamFacts } from '../sink/stream-ids.ts';
import { initUnlockSql } from '../source/setup-sql.ts';
import { NO_LIMITS_SQL, SnapshotReader } from '../source/snapshot-reader.ts';
import { checkReadable } from './check-readable.ts';
import { IdPartitions } from './id-partitions.ts';
import { keepEntries } from './keep-entries.ts';
import { findMissingRows, type MissingRows, type RowScan, type RowSource } from './missing-rows.ts';
import { publishMissing } from './publish-missing.ts';
import { type HeldIds, readHeld } from './read-held.ts';
import { RowSet } from './row-set.ts';
import { type SampleEntry, sampleEntry } from './sample-entry.ts';
import { refuseSharedIds } from './shared-ids.ts';
import { SlotBudget } from './slot-budget.ts';
import {
  countRows,
  readFacts,
  requireAllTables,
  requireEmptyStreams,
  requireUntrimmed,
  takeLock,
} from './snapshot-guards.ts';
import { judgeFacts, takeLanes } from './snapshot-lanes.ts';
import { beginMoment } from './snapshot-moment.ts';
import { judgeStart, type SnapshotStart } from './snapshot-plan.ts';
import {
  chooseSelection,
  type GivenSelection,
  rememberSelection,
  type SnapshotSelection,
  type TableChoice,
} from './snapshot-selection.ts';

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
  readonly selection: Omit<SnapshotSelection, 'tables'>;
  readonly tables: readonly TableReport[];
  /** Of all tables, as what follows. */
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
}

export interface TableReport extends TableChoice {
  /** Of the selection, at the moment that the rows were read. */
  readonly rows: number;
  readonly missing: number;
  readonly published: number;
  /** What the first row would become; only after a dry run. */
  readonly sample: SampleEntry | null;
}

/**
 * `walrelay init --snapshot`: publishes the rows that were there before the slot, and only these: a transaction is either
 * visible in the snapshot that the slot's creation exports, or sent by the slot. That is one moment for all tables; they are
 * published one after the other.
 *
 * It may be killed anywhere: the lane says from the first step to the last that a snapshot is under way, and no relay starts.
 * The exported snapshot is gone then, the slot is not, and it still has all that came after: so the next run reads the
 * rows as they are now, and leaves out what stands in the streams, by the ids, and what the slot will send, by reading
 * the slot up to the moment that it sees the rows of. What is left was there before the slot and is not published yet.
 */
export async function takeSnapshot(ground: Ground, options: SnapshotOptions): Promise<SnapshotReport> {
  const { settings, shape, postgres } = ground;
  const { isDryRun, init, step, count } = options;
  await takeLock(ground);
  await postgres.query(NO_LIMITS_SQL);
  if (!isDryRun) await prepareOutbox(ground, init, SLOT_PROBLEMS);
  const tolerated = new Set([...SLOT_PROBLEMS, ...(isDryRun ? ['PUBLICATION_MISSING'] : [])]);
  const facts = await readFacts(ground, tolerated, init.refuse);
  const { catalog, lane } = facts;
  const start = judgeStart(catalog, lane, settings);
  await judgeFacts(ground, facts, start);
  const isRaw = catalog.server.serverEncoding === 'SQL_ASCII';
  const config = () => clientConfig(settings, options.holder);
  await using reader = await SnapshotReader.open(config(), { isRaw });
  const selection = chooseSelection(
    options.selection,
    lane?.snapshotSelection ?? null,
    tableChoices(settings),
  );
  requireAllTables(start, selection, ground);
  const sources = await openSources(ground, selection, reader, isRaw);
  const outboxes = sources.map(({ outbox }) => outbox);
  if (lane?.snapshot === undefined) {
    await refuseSharedIds(sources);
    if (!options.skipsPublished) await requireEmptyStreams(ground, outboxes);
  }

  const began = `began ${options.now().toISOString()}`;
  if (!isDryRun) {
    await takeLanes(ground, { ...facts, start, began, holder: options.holder }, rememberSelection(selection));
    await postgres.query(initUnlockSql(shape.expected));
  }
  using partitions = new IdPartitions();
  step('reading the ids in the streams');
  const held = await readHeld(ground, outboxes, partitions, (entries) => count('entries', entries, null));
  if (lane?.snapshot !== undefined && !options.republishesTrimmed) requireUntrimmed(held);

  let streamed = 0;
  const slotLsn = await beginMoment(ground, facts, reader, {
    start,
    options,
    take: (id, outbox) => {
      const number = outboxes.indexOf(outbox);
      if (number === -1) return;
      partitions.addHeld(id, number);
      streamed += 1;
      count('events', streamed, null);
    },
  });

  using budget = new SlotBudget(config, {
    slot: settings.slot,
    retainedWarnBytes: settings.walRetainedWarnBytes,
    told: step,
  });
  // Nothing of it is published yet, so what came since the first look may still be refused.
  if (held.entries === 0 && start !== 'continue') await refuseSharedIds(sources);
  const missing = await compareRows(sources, held, { partitions, streamed, count });
  const tables: TableReport[] = [];
  for (const [number, source] of sources.entries()) {
    const { rowCount, rows } = missing[number] as MissingRows;
    const sample = isDryRun ? await sampleEntry(source) : null;
    const choice = selection.tables[number] as TableChoice;
    tables.push({ ...choice, rows: rowCount, missing: rows.size, published: 0, sample });
  }
  const { since, where } = selection;
  const found: SnapshotReport = {
    start,
    selection: { since, where },
    tables,
    rows: sumOf(tables.map(({ rows }) => rows)),
    entries: held.entries,
    streamed,
    missing: sumOf(tables.map((table) => table.missing)),
    published: 0,
    slotLsn: slotLsn === null ? null : formatLsn(slotLsn),
    retainedBytes: null,
  };
  if (isDryRun) return found;

  budget.start();
  const published = await publishTables(ground, sources, missing, options, {
    budget,
    began: `${began}, slot from ${found.slotLsn}`,
  });
  // What the slot has lost since would be in neither.
  await budget.look();
  budget.check();
  await keepEntries(ground, step);
  await ground.lanes.annotate({ snapshot: '', snapshot_selection: '' });
  await keepEntries(ground, step);
  return {
    ...found,
    tables: tables.map((table, number) => ({ ...table, published: published[number] ?? 0 })),
    published: sumOf(published),
    retainedBytes: budget.retainedBytes,
  };
}

/** The outboxes that a snapshot can be of, each with the order that its rows have if nothing else is said. */
function tableChoices({ outboxes: all, pollOrderColumn }: Settings): TableChoice[] {
  const outboxes = all.filter(hasTable);
  // Throws where there is none.
  if (outboxes.length === 0) requireTable(all[0] as OutboxSettings, 'a snapshot is of the rows of a table');
  return outboxes.map(({ name, columnTime }) => ({
    outbox: name,
    // A poller has one table; of several each has a column of its own.
    orderColumn: outboxes.length === 1 ? pollOrderColumn : (columnTime ?? pollOrderColumn),
  }));
}

/** All that must not fail later, when something has been changed. */
async function openSources(
  { shape }: Ground,
  { tables, since, where }: SnapshotSelection,
  reader: SnapshotReader,
  isRaw: boolean,
): Promise<RowSource[]> {
  const sources: RowSource[] = [];
  for (const { outbox: name, orderColumn } of tables) {
    const found = shape.tables.find(({ settings }) => settings.name === name);
    if (found === undefined) throw new WalrelayError('BUG', `there is no outbox ${name}`);
    const selection = { orderColumn, since, where };
    const source = await checkReadable(found, reader, selection, { what: 'A snapshot', isRaw });
    await countRows(source);
    sources.push(source);
  }
  return sources;
}

/** What is to be published, table by table. */
async function compareRows(
  sources: readonly RowSource[],
  held: HeldIds,
  about: {
    readonly partitions: IdPartitions;
    readonly streamed: number;
    readonly count: SnapshotOptions['count'];
  },
): Promise<MissingRows[]> {
  const rowCounts: number[] = [];
  for (const source of sources) rowCounts.push(await countRows(source));
  if (held.entries === 0 && about.streamed === 0) return rowCounts.map(allRows);
  const scans = sources.map((source, number) => scanOf(source, number, held));
  return findMissingRows(scans, about.partitions, (done) => about.count('rows', done, sumOf(rowCounts)));
}

function scanOf(source: RowSource, number: number, { tables, sharedScopes }: HeldIds): RowScan {
  const streams = tables[number]?.streams ?? new Map<string, StreamFacts>();
  return { source, streams, lane: null, scope: number, sharedScopes };
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

/** One table after the other. Returns how many rows of each. */
async function publishTables(
  { settings, lanes, nodes }: Ground,
  sources: readonly RowSource[],
  missing: readonly MissingRows[],
  options: SnapshotOptions,
  { budget, began }: { readonly budget: SlotBudget; readonly began: string },
): Promise<number[]> {
  const total = sumOf(missing.map(({ rows }) => rows.size));
  options.step(`publishing ${total} rows`);
  const published = sources.map(() => 0);
  let notedAtMs = Number.NEGATIVE_INFINITY;
  for (const [number, source] of sources.entries()) {
    const shapes = packShapes(source.outbox.shapes, { hasPosition: false });
    const writer = await RecoveryWriter.open(nodes, lanes, { shapes, mark: SNAPSHOT_AT });
    await publishMissing(source, missing[number] as MissingRows, {
      settings,
      lanes,
      writer,
      now: options.now,
      command: 'walrelay init --snapshot',
      progress: async (count) => {
        published[number] = count;
        options.count('published', sumOf(published), total);
        budget.check();
        // For people; what stands is told by the ids.
        if (performance.now() - notedAtMs < NOTE_INTERVAL_MS) return;
        notedAtMs = performance.now();
        await lanes.annotate({
          snapshot: `${began}, published ${progressText(sources, missing, published)}`,
        });
      },
    });
  }
  return published;
}

/** `30 of 30 rows of orders, 12 of 500 rows of billing` */
function progressText(
  sources: readonly RowSource[],
  missing: readonly MissingRows[],
  published: readonly number[],
): string {
  return sources
    .map(
      ({ outbox }, number) =>
        `${published[number]} of ${missing[number]?.rows.size} rows of ${outbox.mapping.name}`,
    )
    .join(', ');
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

/** Of the slot: whether it has to be made, or made anew, the state of the lane tells. */
const SLOT_PROBLEMS: ReadonlySet<string> = new Set(['SLOT_MISSING', 'SLOT_LOST']);
const NOTE_INTERVAL_MS = 1000;
