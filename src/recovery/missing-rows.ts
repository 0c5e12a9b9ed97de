import type { Outbox } from '../route/outbox.ts';
import { RowRouter } from '../route/row-router.ts';
import type { StreamFacts } from '../sink/stream-ids.ts';
import { ORDER_VALUES, orderedRowsSql, type RowOrder, type RowRange } from '../source/row-order.ts';
import { idValueSql, type RowValues } from '../source/row-values.ts';
import type { QualifiedName } from '../source/sql.ts';
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
  readonly table: QualifiedName;
  readonly outbox: Outbox;
  readonly values: RowValues;
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
  const judge = createJudge(source, streams, source.since === null ? lane : null);
  const idOf = (row: TextRow) => textOf(row[ORDER_VALUES], source.isRaw);
  const marks: RowMark[] = [{ row: 0, key: null, id: null }];
  let rowCount = 0;
  let previousKey: string | null = null;
  await openCursor(source, scannedValues(source), rangeFrom(source.since, source));
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
  values: readonly string[],
  range: RowRange,
): Promise<void> {
  const { reader, table, order } = source;
  const sql = orderedRowsSql(table, order, { values, range });
  await reader.query(`DECLARE walrelay_rows NO SCROLL CURSOR FOR\n${sql}`);
}

export function rangeFrom(key: string | null, source: Pick<RowSource, 'since' | 'where'>): RowRange {
  return { from: key, withNulls: source.since === null, where: source.where };
}

export function textOf(value: string | null | undefined, isRaw: boolean): string {
  if (value === null || value === undefined) return '';
  return isRaw ? Buffer.from(value, 'hex').toString('utf8') : value;
}

/** The id and what the stream's name is made of: no more of a row is read to judge it. */
function scannedValues({ outbox, values, isRaw }: RowSource): string[] {
  return [
    idValueSql(outbox.mapping.columnId, { isRaw }),
    ...outbox.routingSlots.map((slot) => values.sql[slot] as string),
  ];
}

/** `lane`: null where every row that no stream holds is to be published. */
function createJudge(
  source: RowSource,
  streams: HeldEntries['streams'],
  lane: LaneHistory | null,
): (row: TextRow) => number {
  const { outbox } = source;
  const placeOf = (slot: number) => ORDER_VALUES + 1 + outbox.routingSlots.indexOf(slot);
  const router = new RowRouter(outbox, placeOf, source);
  const noStream = lane === null ? null : horizonOf(null, lane);
  const horizons = new Map(
    lane === null ? [] : [...streams].map(([name, facts]) => [name, horizonOf(facts, lane)] as const),
  );
  return (row) => {
    // An event that has no stream: if it has to be published, that will stop in front of it and name it.
    const found = router.find(row);
    if (found === 'dropped') return VERDICT.dropped;
    if (noStream === null) return VERDICT.republish;
    const horizon = (found === 'none' ? undefined : horizons.get(found.stream)) ?? noStream;
    const made = row[1] ?? null;
    return judgeRow(made === null ? null : Number(made), horizon);
  };
}

const ROWS_PER_PAGE = 5000;
const ROWS_PER_MARK = 4096;
