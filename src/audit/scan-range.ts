import type { TimeRange } from './row-sql.ts';
import type { IdRange } from './scan-entries.ts';

/**
 * Where in a stream the entries of a range of rows are looked for first, and where else they may stand. An entry's ID is
 * the time of Redis when it was appended: mostly right after the row was inserted, sometimes long after.
 */
export interface ScanRange {
  readonly inside: IdRange;
  readonly outside: readonly IdRange[];
}

/**
 * For recent rows, where the clocks of Postgres and Redis were compared: they stand behind their own time, wherever the
 * stream ends by now, and nowhere else.
 */
export function recentScanRange(range: TimeRange, skewMs: bigint): ScanRange {
  const fromMs =
    range.fromUs === null ? 0n : range.fromUs / 1000n - MARGIN_MS - (skewMs < 0n ? -skewMs : skewMs);
  return { inside: { from: idOf(fromMs), to: '+' }, outside: [] };
}

export function scanRangeOf(range: TimeRange): ScanRange {
  const fromMs = range.fromUs === null ? null : range.fromUs / 1000n - MARGIN_MS;
  const toMs = range.toUs === null ? null : range.toUs / 1000n + MARGIN_MS;
  return {
    inside: { from: fromMs === null ? '-' : idOf(fromMs), to: toMs === null ? '+' : idOf(toMs) },
    outside: [
      ...(fromMs === null || fromMs <= 0n ? [] : [{ from: '-', to: idOf(fromMs - 1n) }]),
      ...(toMs === null ? [] : [{ from: idOf(toMs + 1n), to: '+' }]),
    ],
  };
}

const MARGIN_MS = 60_000n;

function idOf(ms: bigint): string {
  return String(ms > 0n ? ms : 0n);
}
