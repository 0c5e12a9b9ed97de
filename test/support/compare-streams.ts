import { parseLsn } from '../../src/core/lsn.ts';

/** An entry, or what an entry should be. */
export interface RelayedEvent {
  readonly stream: string;
  readonly id: string;
  readonly type: string;
  readonly aggregateType: string;
  readonly aggregateId: string;
  readonly payload: string;
  readonly lsn: string;
  readonly seq: string;
  readonly committedAt: string;
}

/** What is wrong; all empty when the streams are exact. */
export interface Exactness {
  readonly events: number;
  /** Ids of events that stand nowhere. */
  readonly missing: string[];
  /** Ids that stand more often than they were committed. */
  readonly duplicated: string[];
  /** Ids that were never committed. */
  readonly foreign: string[];
  /** Stream and id of an entry that stands behind one with a later position. */
  readonly misordered: string[];
  /** Aggregates whose entries do not come in the order of their commits. */
  readonly misorderedAggregates: string[];
  /** Ids of entries with a field that is not, byte for byte, what was committed. */
  readonly altered: string[];
}

/** Compares what stands in the streams with what was committed, which comes in commit order. Pure. */
export function compareStreams(
  expected: readonly RelayedEvent[],
  actual: ReadonlyMap<string, readonly RelayedEvent[]>,
): Exactness {
  const truths = new Map(expected.map((event) => [keyOf(event), event]));
  const committedCounts = countBy(expected, (event) => event.id);
  const seen = new Set<string>();
  const seenCounts = new Map<string, number>();
  const result = {
    events: expected.length,
    missing: [] as string[],
    duplicated: [] as string[],
    foreign: [] as string[],
    misordered: [] as string[],
    misorderedAggregates: [] as string[],
    altered: [] as string[],
  };
  for (const [stream, entries] of actual) {
    let previous: RelayedEvent | undefined;
    for (const entry of entries) {
      const committedCount = committedCounts.get(entry.id) ?? 0;
      const seenCount = (seenCounts.get(entry.id) ?? 0) + 1;
      seenCounts.set(entry.id, seenCount);
      if (committedCount === 0) result.foreign.push(entry.id);
      else if (seenCount > committedCount) result.duplicated.push(entry.id);
      else if (!isSame(truths.get(keyOf(entry)), entry)) result.altered.push(entry.id);
      seen.add(keyOf(entry));
      if (previous !== undefined && !isBefore(previous, entry))
        result.misordered.push(`${stream} ${entry.id}`);
      previous = entry;
    }
  }
  for (const event of expected) if (!seen.has(keyOf(event))) result.missing.push(event.id);
  result.misorderedAggregates.push(...misorderedAggregates(truths, actual));
  return result;
}

/** Compared with the order in which they were committed, and not with what an entry says of itself. */
function misorderedAggregates(
  truths: ReadonlyMap<string, RelayedEvent>,
  actual: ReadonlyMap<string, readonly RelayedEvent[]>,
): string[] {
  const ordinals = new Map([...truths.keys()].map((key, ordinal) => [key, ordinal]));
  const last = new Map<string, number>();
  const found = new Set<string>();
  for (const [stream, entries] of actual) {
    for (const entry of entries) {
      const aggregate = `${stream} ${entry.aggregateType} ${entry.aggregateId}`;
      const ordinal = ordinals.get(keyOf(entry));
      if (ordinal === undefined) continue;
      if (ordinal <= (last.get(aggregate) ?? -1)) found.add(aggregate);
      last.set(aggregate, ordinal);
    }
  }
  return [...found];
}

function keyOf(event: RelayedEvent): string {
  return `${event.id} ${event.lsn} ${event.seq}`;
}

function isSame(truth: RelayedEvent | undefined, entry: RelayedEvent): boolean {
  return truth !== undefined && JSON.stringify(truth) === JSON.stringify(entry);
}

export function isBefore(a: RelayedEvent, b: RelayedEvent): boolean {
  const first = parseLsn(a.lsn);
  const second = parseLsn(b.lsn);
  return first < second || (first === second && Number(a.seq) < Number(b.seq));
}

function countBy<T>(list: readonly T[], key: (value: T) => string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const value of list) counts.set(key(value), (counts.get(key(value)) ?? 0) + 1);
  return counts;
}
