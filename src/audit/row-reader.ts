import type { AuditedTable } from './audited-table.ts';
import type { Pace } from './pace.ts';
import type { ReadingConnection, TextRow } from './reading-connection.ts';
import { type RowSlice, sliceSql, type TimeRange, timeLimitsSql } from './row-sql.ts';
import { SliceSize } from './slice-size.ts';

/** A page of rows, and how much of the range lies behind it: 0 to 1. */
export interface RowPage {
  readonly rows: readonly TextRow[];
  readonly done: number;
}

/**
 * Reads the rows of a range in slices, each a short transaction with a snapshot of its own. A row that was updated in
 * the middle may be seen twice or not at all; the second look at what is missing takes care of it.
 */
export async function* readRows(
  connection: ReadingConnection,
  table: AuditedTable,
  range: TimeRange,
  pace: Pace,
): AsyncGenerator<RowPage> {
  const slices = table.hasTimeIndex ? await timeSlices(connection, table, range) : pageSlices(table);
  const size = new SliceSize(slices.firstWidth, Math.min(ROWS_PER_SLICE, Math.max(100, pace.perSecond)));
  const pageRows = Math.min(ROWS_PER_PAGE, Math.max(10, Math.floor(pace.perSecond / 4)));
  for (let slice = slices.next(size.width); slice !== null; slice = slices.next(size.width)) {
    let count = 0;
    for await (const rows of connection.pages(sliceSql(table, range, slice), pageRows)) {
      count += rows.length;
      yield { rows, done: slices.done };
      await pace.wait(rows.length);
    }
    size.had(count);
  }
}

interface Slices {
  readonly firstWidth: number;
  readonly done: number;
  next(width: number): RowSlice | null;
}

async function timeSlices(
  connection: ReadingConnection,
  table: AuditedTable,
  range: TimeRange,
): Promise<Slices> {
  const [limits] = await connection.rows(timeLimitsSql(table, range));
  const [first, last] = limits ?? [];
  if (typeof first !== 'string' || typeof last !== 'string') return NO_SLICES;
  const start = BigInt(first);
  const end = BigInt(last) + 1n;
  let at = start;
  return {
    firstWidth: Math.max(1000, Number(end - start) / 1000),
    get done() {
      return Number(at - start) / Number(end - start);
    },
    next: (width) => {
      if (at >= end) return null;
      const fromUs = at;
      at = at + BigInt(width) < end ? at + BigInt(width) : end;
      return { by: 'time', fromUs, toUs: at };
    },
  };
}

function pageSlices(table: AuditedTable): Slices {
  let at = 0;
  return {
    firstWidth: 100,
    get done() {
      return table.pageCount === 0 ? 1 : at / table.pageCount;
    },
    next: (width) => {
      // What was added meanwhile is behind the audit.
      if (at >= table.pageCount) return null;
      const from = at;
      at = Math.min(table.pageCount, at + width);
      return { by: 'page', from, to: at };
    },
  };
}

const NO_SLICES: Slices = { firstWidth: 1, done: 1, next: () => null };
const ROWS_PER_SLICE = 50_000;
const ROWS_PER_PAGE = 2000;
