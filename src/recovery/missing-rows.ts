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

/** How the rows of one table are compared with the streams. */
export interface RowScan {
  readonly source: RowSource;
  readonly streams: ReadonlyMap<string, StreamFacts>;
  /** Null: no relay has ever appended anything, so whatever no stream holds is to be published. */
  readonly lane: LaneHistory | null;
  /** What its ids are compared with: what is of its own, and for streams that it shares with others, what stands there. */
  readonly scope: number;
  readonly sharedScopes: ReadonlyMap<string, number>;
}

/**
 * Reads the ids of all rows, table by table, and finds those that `partitions` does not hold and what is to become of them.
 * Answers for each table.
 */
export async function findMissingRows(
  scans: readonly RowScan[],
  partitions: IdPartitions,
  /** How many rows have been read, and of which table. */
  progress: (rows: number, table: number) => void,
): Promise<MissingRows[]> {
  const tables: { firstRow: number; rowCount: number; marks: readonly RowMark[] }[] = [];
  let firstRow = 0;
  for (const scan of scans) {
    const scanned = await scanRows(scan, partitions, firstRow, (rows) =>
      progress(firstRow + rows, tables.length),
    );
    tables.push({ firstRow, ...scanned });
    firstRow += scanned.rowCount;
  }
  const found = tables.map((table) => ({ ...table, rows: new RowSet(), counts: [0, 0, 0] }));
  for (const { row, verdict } of partitions.missing()) {
    const table = found.findLast((each) => each.firstRow <= row && each.rowCount > 0);
    if (table === undefined) continue;
    table.counts[verdict] = (table.counts[verdict] ?? 0) + 1;
    if (verdict === VERDICT.republish) table.rows.add(row - table.firstRow);
  }
  return found.map(({ rowCount, rows, counts, marks }) => ({
    rowCount,
    rows,
    relayedCount: counts[VERDICT.relayed] ?? 0,
    doubtfulCount: counts[VERDICT.doubtful] ?? 0,
    start: marks.findLast((mark) => mark.row <= rows.first) ?? (marks[0] as RowMark),
  }));
}

/** `firstRow`: by which number `partitions` knows the first. */
async function scanRows(
  scan: RowScan,
  partitions: IdPartitions,
  firstRow: number,
  progress: (rows: number) => void,
): Promise<{ readonly rowCount: number; readonly marks: readonly RowMark[] }> {
  const { source, scope, sharedScopes } = scan;
  const judge = createJudge(scan);
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
      const { verdict, stream } = judge(row);
      const shared = (stream === null ? undefined : sharedScopes.get(stream)) ?? null;
      partitions.addRow(id, { row: firstRow + rowCount, verdict }, { own: scope, shared });
      rowCount += 1;
    }
    progress(rowCount);
    if (page.length < ROWS_PER_PAGE) break;
  }
  await source.reader.query('CLOSE walrelay_rows');
  return { rowCount, marks };
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

/** What becomes of a row if no stream holds it, and the stream that it goes to by now. */
function createJudge({
  source,
  streams,
  lane: history,
}: RowScan): (row: TextRow) => { readonly verdict: number; readonly stream: string | null } {
  const { outbox } = source;
  const lane = source.since === null ? history : null;
  const placeOf = (slot: number) => ORDER_VALUES + 1 + outbox.routingSlots.indexOf(slot);
  const router = new RowRouter(outbox, placeOf, source);
  const noStream = lane === null ? null : horizonOf(null, lane);
  const horizons = new Map(
    lane === null ? [] : [...streams].map(([name, facts]) => [name, horizonOf(facts, lane)] as const),
  );
  return (row) => {
    // An event that has no stream: if it has to be published, that will stop in front of it and name it.
    const found = router.find(row);
    if (found === 'dropped') return { verdict: VERDICT.dropped, stream: null };
    const stream = found === 'none' ? null : found.stream;
    if (noStream === null) return { verdict: VERDICT.republish, stream };
    const horizon = (stream === null ? undefined : horizons.get(stream)) ?? noStream;
    const made = row[1] ?? null;
    return { verdict: judgeRow(made === null ? null : Number(made), horizon), stream };
  };
}

const ROWS_PER_PAGE = 5000;
const ROWS_PER_MARK = 4096;
