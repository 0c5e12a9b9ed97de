import type { OutboxShape } from '../relay/outbox-shape.ts';
import { RowRouter } from '../route/row-router.ts';
import type { StreamFacts } from '../sink/stream-ids.ts';
import { ORDER_VALUES, orderedRowsSql, type RowOrder, type RowRange } from '../source/row-order.ts';
import type { SnapshotReader, TextRow } from '../source/snapshot-reader.ts';
import type { IdPartitions } from './id-partitions.ts';
import { RowSet } from './row-set.ts';
import { horizonOf, judgeRow, type LaneHistory, VERDICT } from './stream-horizon.ts';

export interface MissingRows {
  readonly rowCount: number;
  /** The rows to publish, by their places in the order. */
  readonly rows: RowSet;
  /** In no stream, but older than everything that their streams still hold. */
  readonly relayedCount: number;
  /** In no stream, and nothing tells whether they were. */
  readonly doubtfulCount: number;
  /** A place from which reading on is enough to meet all of `rows`. */
  readonly start: RowMark;
}

/** A row that can be found again: where the order column says `key` for the first time. Null: the very first row. */
export interface RowMark {
  readonly row: number;
  readonly key: string | null;
  readonly id: string | null;
}

export interface RowSource {
  readonly reader: SnapshotReader;
  readonly shape: OutboxShape;
  readonly order: RowOrder;
  /** Rows from this literal of the order column on are published where no stream holds them, others never. */
  readonly since: string | null;
  /** Only rows that fulfil this condition of SQL. */
  readonly where: string | null;
  /** The database says nothing about its bytes (SQL_ASCII): values come as hex. */
  readonly isRaw: boolean;
}

export interface HeldEntries {
  readonly partitions: IdPartitions;
  readonly streams: ReadonlyMap<string, StreamFacts>;
  /** Null: no relay has ever appended anything, so whatever no stream holds is to be published. */
  readonly lane: LaneHistory | null;
}

/** Reads the ids of all rows, and finds those that no stream holds and what is to become of them. */
export async function findMissingRows(
  source: RowSource,
  held: HeldEntries,
  progress: (rows: number) => void,
): Promise<MissingRows> {
  const { streams, lane } = held;
  const judge =
    source.since === null && lane !== null ? createJudge(source, { streams, lane }) : () => VERDICT.republish;
  const idOf = (row: TextRow) => textOf(row[ORDER_VALUES], source.isRaw);
  const marks: RowMark[] = [{ row: 0, key: null, id: null }];
  let rowCount = 0;
  let previousKey: string | null = null;
  await openCursor(source, scannedColumns(source), rangeFrom(source.since, source));
  for (;;) {
    const page = await source.reader.query(`FETCH ${ROWS_PER_PAGE} FROM walrelay_rows`);
    for (const row of page) {
      const key = row[0] ?? null;
      const id = idOf(row);
      if (key !== previousKey && key !== null && rowCount - (marks.at(-1)?.row ?? 0) >= ROWS_PER_MARK) {
        marks.push({ row: rowCount, key, id });
      }
      previousKey = key;
      held.partitions.addRow(id, rowCount, judge(row));
      rowCount += 1;
    }
    progress(rowCount);
    if (page.length < ROWS_PER_PAGE) break;
  }
  await source.reader.query('CLOSE walrelay_rows');

  const rows = new RowSet();
  const counts = [0, 0, 0];
  for (const { row, verdict } of held.partitions.missing()) {
    counts[verdict] = (counts[verdict] ?? 0) + 1;
    if (verdict === VERDICT.republish) rows.add(row);
  }
  return {
    rowCount,
    rows,
    relayedCount: counts[VERDICT.relayed] ?? 0,
    doubtfulCount: counts[VERDICT.doubtful] ?? 0,
    start: marks.findLast((mark) => mark.row <= rows.first) ?? (marks[0] as RowMark),
  };
}

/** The cursor of which `reader` fetches; each row begins with its order column and when it was made. */
export async function openCursor(
  source: RowSource,
  columns: readonly string[],
  range: RowRange,
): Promise<void> {
  const { reader, shape, order, isRaw } = source;
  const sql = orderedRowsSql(shape.expected, order, { columns, range, isRaw });
  await reader.query(`DECLARE walrelay_rows NO SCROLL CURSOR FOR\n${sql}`);
}

export function rangeFrom(key: string | null, source: Pick<RowSource, 'since' | 'where'>): RowRange {
  return { from: key, withNulls: source.since === null, where: source.where };
}

export function textOf(value: string | null | undefined, isRaw: boolean): string {
  if (value === null || value === undefined) return '';
  return isRaw ? Buffer.from(value, 'hex').toString('utf8') : value;
}

/** The slots of the id and of what the stream's name is made of: no more of a row is read to judge it. */
function scannedSlots({ shape }: RowSource): readonly number[] {
  return [...new Set([0, ...shape.templateSlots])];
}

function scannedColumns(source: RowSource): string[] {
  return scannedSlots(source).map((slot) => source.shape.columns.names[slot] as string);
}

function createJudge(
  source: RowSource,
  held: { readonly streams: HeldEntries['streams']; readonly lane: LaneHistory },
): (row: TextRow) => number {
  const slots = scannedSlots(source);
  const router = new RowRouter(source.shape, (slot) => ORDER_VALUES + slots.indexOf(slot), source);
  const noStream = horizonOf(null, held.lane);
  const horizons = new Map(
    [...held.streams].map(([name, facts]) => [name, horizonOf(facts, held.lane)] as const),
  );
  return (row) => {
    // An event that has no stream: if it has to be published, that will stop in front of it and name it.
    const name = router.find(row);
    const horizon = (name === null ? undefined : horizons.get(name)) ?? noStream;
    const made = row[1] ?? null;
    return judgeRow(made === null ? null : Number(made), horizon);
  };
}

const ROWS_PER_PAGE = 5000;
const ROWS_PER_MARK = 4096;
