import type { AuditRecord, EntryRecord, RowRecord } from './audit-record.ts';

/** What rows and entries of one event id say together. Pure; nothing of the streams' bounds is known here. */
export interface GroupVerdict {
  /** Rows whose entry does not stand, although the relay has passed them; the oldest first. */
  readonly missing: readonly RowRecord[];
  /** Rows whose entry does not stand yet: the relay has not been seen to pass them. */
  readonly inFlight: readonly RowRecord[];
  /** Entries that stand once too often. */
  readonly duplicated: readonly EntryRecord[];
  readonly misordered: readonly EntryRecord[];
  /** Entries that say something else than the row. */
  readonly altered: readonly EntryRecord[];
  /** Entries in another stream than the row is routed to. */
  readonly elsewhere: readonly EntryRecord[];
  /** Entries without a row: deleted since, or outside of the range. */
  readonly withoutRow: number;
  /** Inserts of this id beyond the first: the producer's, and delivered as often, rightly. */
  readonly repeats: number;
  readonly recovered: number;
  readonly redriven: number;
  /** Events that stand in the dead letters. */
  readonly deadLettered: number;
  readonly fromSnapshot: number;
  readonly replayed: number;
}

export function judgeGroup(records: readonly AuditRecord[]): GroupVerdict {
  const rows: RowRecord[] = [];
  const entries: EntryRecord[] = [];
  let dead = 0;
  for (const record of records) {
    if (record.kind === 'row') rows.push(record);
    else if (record.origin === 'dead') dead += 1;
    else entries.push(record);
  }
  const relayed = entries.filter(({ origin }) => origin === 'relayed');
  // Appended from the table, since the WAL was gone or came before the slot: either stands for its row.
  const recovered = entries.filter(({ origin }) => ['recovered', 'snapshot', 'redriven'].includes(origin));
  const replayed = entries.filter(({ origin }) => origin === 'replayed');

  // One position is one event: the same WAL gives the same positions whenever it is read.
  const firsts = new Map<string, EntryRecord>();
  const duplicated: EntryRecord[] = [];
  for (const entry of relayed) {
    const position = entry.position === null ? '' : `${entry.position.lsn} ${entry.position.seq}`;
    if (firsts.has(position)) duplicated.push(entry);
    else firsts.set(position, entry);
  }
  const events = firsts.size;
  const expected = Math.max(rows.length, events, 1);
  // What was recovered though it stood there all the time.
  const surplus = Math.max(0, events + recovered.length - expected);
  duplicated.push(...recovered.slice(recovered.length - surplus));

  // A replay is a copy, but a consumer of this stream has the event.
  const isReplayed = replayed.some(({ stream }) => rows.some((row) => row.stream === stream));
  const present = Math.max(events + recovered.length, isReplayed ? 1 : 0) + dead;
  const absent = rows.length > present ? absentRows(rows, present) : [];

  const doubles = new Set(duplicated);
  return {
    missing: absent.filter(({ isDue }) => isDue),
    inFlight: absent.filter(({ isDue }) => !isDue),
    duplicated,
    // A double stands behind its first, and so out of order: that is said once.
    misordered: duplicated.length > 0 ? [] : entries.filter(({ order }) => order !== 'kept'),
    altered: isComparable(rows, events) ? entries.filter((entry) => !isToldBy(rows, entry)) : [],
    elsewhere:
      rows.length === 0
        ? []
        : [...relayed, ...recovered].filter(
            (entry) => !doubles.has(entry) && !rows.some(({ stream }) => stream === entry.stream),
          ),
    withoutRow: rows.length === 0 ? entries.length : 0,
    repeats: Math.max(rows.length, events, 1) - 1,
    recovered: recovered.filter(({ origin }) => origin === 'recovered').length,
    redriven: recovered.filter(({ origin }) => origin === 'redriven').length,
    deadLettered: dead,
    fromSnapshot: recovered.filter(({ origin }) => origin === 'snapshot').length,
    replayed: replayed.length,
  };
}

/** Which of several rows of one id lack their entry nobody can tell: those that are surely passed came first. */
function absentRows(rows: readonly RowRecord[], present: number): RowRecord[] {
  return rows.toSorted((a, b) => Number(b.isDue) - Number(a.isDue)).slice(present);
}

/** Once a row of several was deleted, an entry may be that one's. */
function isComparable(rows: readonly RowRecord[], events: number): boolean {
  return rows.length > 0 && rows.length >= events;
}

function isToldBy(rows: readonly RowRecord[], entry: EntryRecord): boolean {
  return rows.some((row) => row.isLossy || entry.isLossy || row.digest.equals(entry.digest));
}
