import type { Settings } from '../config/settings.ts';
import type { Lsn } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { PublishBatch } from '../sink/publish-batch.ts';
import { POLLED_ENTRY_FIELDS } from '../sink/publish-script.ts';
import type { RecoveryLane } from '../sink/recovery-lane.ts';
import { ORDER_VALUES } from '../source/row-order.ts';
import type { TextRow } from '../source/snapshot-reader.ts';
import {
  type MissingRows,
  openCursor,
  rangeFrom,
  type RowMark,
  type RowSource,
  textOf,
} from './missing-rows.ts';

/** Appends the missing rows in their order, each batch after the one before it was accepted. Returns how many. */
export async function republish(
  source: RowSource,
  missing: MissingRows,
  options: {
    readonly settings: Settings;
    readonly lane: RecoveryLane;
    readonly consistentLsn: Lsn;
    /** What the lane says of this recovery when `count` events of it stand. */
    readonly note: (count: number) => string;
    readonly progress: (count: number) => void;
  },
): Promise<number> {
  const { settings, lane } = options;
  const { shape, isRaw } = source;
  if (shape.columns.names.length < POLLED_ENTRY_FIELDS.length) {
    throw new WalrelayError('BUG', 'a row has fewer values than its entry has fields');
  }
  const batch = new PublishBatch(settings, {
    encoding: isRaw ? 'hex' : 'utf8',
    router: shape.createRouter(),
    valueCount: shape.columns.names.length,
  });
  let ids: string[] = [];
  let count = 0;
  const flush = async () => {
    if (batch.eventCount === 0) return;
    const { refusal } = await lane.append(batch, {
      consistentLsn: options.consistentLsn,
      progress: options.note(count + batch.eventCount),
      idOf: (event) => ids[event] ?? '?',
    });
    if (refusal !== null) throw refusal;
    count += batch.eventCount;
    batch.clear();
    ids = [];
    options.progress(count);
  };
  for await (const row of missingRows(source, missing, settings.batchBytesMax * PAGE_BATCHES)) {
    const id = textOf(row[ORDER_VALUES], isRaw);
    if (!(await addOrFlush(batch, row, id, flush)) && !(await addOrFlush(batch, row, id, flush))) {
      throw new WalrelayError('BUG', 'an empty batch takes no event');
    }
    ids.push(id);
  }
  await flush();
  return count;
}

/** False: the batch was full and went out, so that there is room now. What is before an impassable event goes out too. */
async function addOrFlush(
  batch: PublishBatch,
  row: TextRow,
  id: string,
  flush: () => Promise<void>,
): Promise<boolean> {
  try {
    if (batch.add(row, ORDER_VALUES)) return true;
  } catch (error) {
    await flush();
    if (!(error instanceof WalrelayError)) throw error;
    throw new WalrelayError(error.code, `${error.message}; its id is ${JSON.stringify(id.slice(0, 100))}`, {
      cause: error,
      hint: `${error.hint} Then run \`walrelay recover\` again: it goes on where it stopped.`,
    });
  }
  await flush();
  return false;
}

/** Reads on from the first missing row; runs of rows that are not missing stay on the server. */
async function* missingRows(
  source: RowSource,
  missing: MissingRows,
  pageBytes: number,
): AsyncGenerator<TextRow> {
  if (missing.rows.size === 0) return;
  let row = (await openAt(source, missing.start)).row;
  let left = missing.rows.size;
  let pageRows = 16;
  while (left > 0) {
    if (!missing.rows.hasAny(row, pageRows)) {
      let skip = pageRows;
      while (skip < ROWS_SKIPPED_MAX && !missing.rows.hasAny(row + skip, pageRows)) skip += pageRows;
      await source.reader.query(`MOVE FORWARD ${skip} FROM walrelay_rows`);
      row += skip;
      if (row > missing.rowCount) throw new WalrelayError('BUG', 'a missing row was not met again');
      continue;
    }
    const page = await source.reader.query(`FETCH ${pageRows} FROM walrelay_rows`);
    if (page.length === 0) throw new WalrelayError('BUG', 'a missing row was not met again');
    let bytes = 0;
    for (const values of page) {
      for (const value of values) bytes += value?.length ?? 0;
      if (missing.rows.has(row)) {
        left -= 1;
        yield values;
      }
      row += 1;
    }
    pageRows = Math.max(
      1,
      Math.min(pageRows * 2, ROWS_PER_PAGE_MAX, Math.floor((pageBytes * page.length) / (bytes + 1))),
    );
  }
  await source.reader.query('CLOSE walrelay_rows');
}

/**
 * Opens the cursor at a row that was marked. Types exist whose equal values are written in several ways (1.0, 1.00): there
 * the mark may not be the first of its key, and all is read from the beginning.
 */
async function openAt(source: RowSource, mark: RowMark): Promise<RowMark> {
  const { names } = source.shape.columns;
  if (mark.key !== null) {
    await openCursor(source, names, rangeFrom(mark.key, source.since));
    const [first] = await source.reader.query('FETCH 1 FROM walrelay_rows');
    await source.reader.query('CLOSE walrelay_rows');
    if (first !== undefined && textOf(first[ORDER_VALUES], source.isRaw) === mark.id) {
      await openCursor(source, names, rangeFrom(mark.key, source.since));
      return mark;
    }
  }
  await openCursor(source, names, rangeFrom(source.since, source.since));
  return { row: 0, key: null, id: null };
}

const PAGE_BATCHES = 8;
const ROWS_PER_PAGE_MAX = 2000;
const ROWS_SKIPPED_MAX = 1_000_000;
