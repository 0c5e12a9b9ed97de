import type { Settings } from '../config/settings.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import { RowRouter } from '../route/row-router.ts';
import { PublishBatch } from '../sink/publish-batch.ts';
import type { LaneSet } from '../sink/lane-set.ts';
import type { RecoveryWriter } from '../sink/recovery-writer.ts';
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

/** Appends the missing rows in their order, each batch of a lane after the one before it was accepted. Returns how many. */
export async function publishMissing(
  source: RowSource,
  missing: MissingRows,
  options: {
    readonly settings: Settings;
    readonly lanes: LaneSet;
    readonly writer: RecoveryWriter;
    readonly now: () => Date;
    /** The command that goes on once an event that can't pass is mended. */
    readonly command: string;
    /** So many of them stand. */
    readonly progress: (count: number) => Promise<void>;
  },
): Promise<number> {
  const { settings, lanes, writer, now, command, progress } = options;
  const { outbox, values } = source;
  const router = new RowRouter(outbox, (slot) => ORDER_VALUES + slot, source);
  const open = new Map<number, OpenBatch>();
  let count = 0;
  const flush = async ({ batch, ids }: OpenBatch) => {
    if (batch.eventCount === 0) return;
    const { refusal } = await writer.append(batch, { at: now(), idOf: (event) => ids[event] ?? '?' });
    if (refusal !== null) throw refusal;
    count += batch.eventCount;
    batch.clear();
    ids.length = 0;
    await progress(count);
  };
  const flushAll = async () => {
    for (const each of open.values()) await flush(each);
    open.clear();
  };
  const createBatch = () =>
    new PublishBatch(settings, {
      shapes: writer.shapes,
      encodings: values.encodings,
      kinds: values.kinds,
      router: outbox.createRouter(),
    });

  for await (const row of missingRows(source, missing, settings.batchBytesMax * PAGE_BATCHES)) {
    const id = idOf(source, row);
    try {
      const stream = router.route(row);
      if (stream === null) continue;
      const lane = lanes.laneOf(stream);
      if (open.size === OPEN_BATCHES_MAX && !open.has(lane)) await flushAll();
      const into = open.get(lane) ?? { batch: createBatch(), ids: [] };
      open.set(lane, into);
      if (into.batch.add(row, ORDER_VALUES) === 'full') {
        await flush(into);
        if (into.batch.add(row, ORDER_VALUES) === 'full')
          throw new WalrelayError('BUG', 'an empty batch has no room for an event');
      }
      into.ids.push(id);
    } catch (thrown) {
      const error = toWalrelayError(thrown);
      if (error.disposition !== 'poison') throw error;
      // What is before it goes out; the events behind it wait.
      await flushAll();
      throw new WalrelayError(error.code, `${error.message} (event ${JSON.stringify(id.slice(0, 100))})`, {
        cause: error,
        hint: `${error.hint} Then run \`${command}\` again: it goes on where it stopped.`,
      });
    }
  }
  await flushAll();
  return count;
}

/** One batch is filled for each lane: a script reaches only one. */
interface OpenBatch {
  readonly batch: PublishBatch;
  readonly ids: string[];
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
  const { sql } = source.values;
  if (mark.key !== null) {
    await openCursor(source, sql, rangeFrom(mark.key, source));
    const [first] = await source.reader.query('FETCH 1 FROM walrelay_rows');
    await source.reader.query('CLOSE walrelay_rows');
    if (first !== undefined && idOf(source, first) === mark.id) {
      await openCursor(source, sql, rangeFrom(mark.key, source));
      return mark;
    }
  }
  await openCursor(source, sql, rangeFrom(source.since, source));
  return { row: 0, key: null, id: null };
}

/** As the scan gave it. */
export function idOf({ outbox, isRaw }: RowSource, row: TextRow): string {
  const parts = outbox.slots.id.map((slot) => row[ORDER_VALUES + slot] ?? null);
  return parts.includes(null) ? '' : parts.map((part) => textOf(part, isRaw)).join(':');
}

const OPEN_BATCHES_MAX = 64;
const PAGE_BATCHES = 8;
const ROWS_PER_PAGE_MAX = 2000;
const ROWS_SKIPPED_MAX = 1_000_000;
