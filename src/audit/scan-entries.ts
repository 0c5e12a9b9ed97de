import { type StreamEntry, StreamReader } from '../sink/stream-reader.ts';
import type { Pace } from './pace.ts';
import type { RedisByKey } from './redis-by-key.ts';

/** A part of a stream: entry IDs, both included; `-` and `+` for its ends. */
export interface IdRange {
  readonly from: string;
  readonly to: string;
}

/**
 * The entries of a part of a stream, in order, a page at a time. Pages grow until they have about a megabyte, so that
 * neither many small entries nor a few large ones cost much memory or block Redis for long.
 */
export async function* scanEntries(
  redis: RedisByKey,
  stream: string,
  range: IdRange,
  pace: Pace,
): AsyncGenerator<readonly StreamEntry[]> {
  const reader = new StreamReader(redis.forKey(stream));
  let { from } = range;
  let count = FIRST_COUNT;
  for (;;) {
    const entries = await reader.range(stream, from, range.to, count);
    if (entries.length > 0) yield entries;
    const last = entries.at(-1);
    if (last === undefined || entries.length < count) return;
    from = `(${last.id}`;
    const bytes = entries.reduce((sum, { fields }) => sum + sizeOf(fields), 0);
    count = Math.max(1, Math.min(COUNT_MAX, count * 2, Math.floor((PAGE_BYTES * count) / bytes)));
    await pace.wait(entries.length);
  }
}

const FIRST_COUNT = 50;
const COUNT_MAX = 500;
const PAGE_BYTES = 1024 * 1024;

function sizeOf(fields: StreamEntry['fields']): number {
  let bytes = 100;
  for (const name in fields) bytes += fields[name]?.length ?? 0;
  return bytes;
}
