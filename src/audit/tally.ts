import type { EntryRecord, RowRecord } from './audit-record.ts';
import { NO_STREAM } from './audit-record.ts';
import { type Example, type Finding, FINDINGS, formatUs, type Note, NOTES } from './audit-report.ts';
import type { GroupVerdict } from './judge-group.ts';
import type { StreamBounds } from './stream-bounds.ts';
import type { StreamSet } from './stream-set.ts';

/** A row whose entry is missing. */
export interface MissingRow {
  readonly row: RowRecord;
  /** How many rows have its id: of several, nobody can tell which one lacks its entry. */
  readonly rowsOfId: number;
}

/** Adds the verdicts up, with the first examples of each kind. */
export class Tally {
  readonly findings = Object.fromEntries(FINDINGS.map((name) => [name, 0])) as Record<Finding, number>;
  readonly notes = Object.fromEntries(NOTES.map((name) => [name, 0])) as Record<Note, number>;
  readonly examples: Partial<Record<Finding | Note, Example[]>> = {};
  /** At most `missingMax`; `findings.missing` counts all. */
  readonly missing: MissingRow[] = [];
  /** When the oldest row was inserted that could not be judged yet. */
  oldestInFlightUs: bigint | null = null;
  readonly #streams: StreamSet;
  readonly #examplesMax: number;
  readonly #missingMax: number;

  constructor(streams: StreamSet, limits: { readonly examplesMax: number; readonly missingMax: number }) {
    this.#streams = streams;
    this.#examplesMax = limits.examplesMax;
    this.#missingMax = limits.missingMax;
  }

  note(name: Finding | Note, count: number, example?: Example): void {
    if (count === 0) return;
    if (name in this.findings) this.findings[name as Finding] += count;
    else this.notes[name as Note] += count;
    if (example === undefined) return;
    const list = (this.examples[name] ??= []);
    if (list.length < this.#examplesMax) list.push(example);
  }

  /** What was found while reading. */
  addAll(other: Tally): void {
    for (const name of FINDINGS) this.findings[name] += other.findings[name];
    for (const name of NOTES) this.notes[name] += other.notes[name];
    for (const [name, examples] of Object.entries(other.examples)) {
      this.examples[name as Finding | Note] = [...examples];
    }
  }

  /** Takes back that `count` rows of this id are missing. */
  forgetMissing(id: string, count: number): void {
    for (let left = count; left > 0; left -= 1) {
      const index = this.missing.findIndex(({ row }) => row.id === id);
      if (index === -1) return;
      this.missing.splice(index, 1);
      this.findings.missing -= 1;
      const examples = this.examples.missing ?? [];
      const example = examples.findIndex(({ eventId }) => eventId === id);
      if (example !== -1) examples.splice(example, 1);
    }
  }

  add(verdict: GroupVerdict, rowsOfId: number, bounds: StreamBounds): void {
    for (const row of verdict.missing) this.#addMissing(row, rowsOfId, bounds);
    for (const row of verdict.inFlight) {
      this.note('inFlight', 1, this.#ofRow(row));
      const { timeUs } = row;
      if (timeUs !== null && (this.oldestInFlightUs === null || timeUs < this.oldestInFlightUs)) {
        this.oldestInFlightUs = timeUs;
      }
    }
    for (const entry of verdict.duplicated) this.note('duplicated', 1, this.#ofEntry(entry));
    for (const entry of verdict.misordered) {
      this.note('misordered', 1, this.#ofEntry(entry));
      if (entry.order === 'aggregate') this.note('misorderedInAggregate', 1, this.#ofEntry(entry));
    }
    for (const entry of verdict.altered) this.note('altered', 1, this.#ofEntry(entry));
    for (const entry of verdict.elsewhere) this.note('elsewhere', 1, this.#ofEntry(entry));
    this.note('withoutRow', verdict.withoutRow);
    this.note('repeatedIds', verdict.repeats);
    this.note('recovered', verdict.recovered);
    this.note('redriven', verdict.redriven);
    this.note('deadLettered', verdict.deadLettered);
    this.note('fromSnapshot', verdict.fromSnapshot);
    this.note('replayed', verdict.replayed);
  }

  #addMissing(row: RowRecord, rowsOfId: number, bounds: StreamBounds): void {
    if (row.stream === NO_STREAM) {
      this.note('unroutable', 1, this.#ofRow(row));
      return;
    }
    const absence = bounds.judge(row.stream, row.timeUs);
    if (absence === 'older') this.note('olderThanStreams', 1, this.#ofRow(row));
    else if (absence === 'trimmed') this.note('trimmed', 1, this.#ofRow(row));
    else {
      this.note('missing', 1, this.#ofRow(row));
      // A copy: the record is a view of the part that is being compared.
      if (this.missing.length < this.#missingMax) {
        this.missing.push({ row: { ...row, key: Buffer.from(row.key), digest: EMPTY }, rowsOfId });
      }
    }
  }

  #ofRow(row: RowRecord): Example {
    return {
      stream: row.stream === NO_STREAM ? '(none)' : this.#streams.nameOf(row.stream),
      eventId: row.id,
      ...(row.timeUs === null ? {} : { insertedAt: formatUs(row.timeUs) }),
    };
  }

  #ofEntry(entry: EntryRecord): Example {
    return {
      stream: this.#streams.nameOf(entry.stream),
      entryId: `${entry.entryMs}-${entry.entrySeq}`,
    };
  }
}

const EMPTY = Buffer.alloc(0);
