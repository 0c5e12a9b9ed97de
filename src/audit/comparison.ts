import type { EntryRoles } from '../core/entry-shape.ts';
import { rolesOf } from '../route/outbox.ts';
import { RowRouter } from '../route/row-router.ts';
import { parseCommittedAtUs } from '../sink/commit-time.ts';
import { parseEntryId, StreamReader } from '../sink/stream-reader.ts';
import { findLetters } from '../dead-letters/find-letters.ts';
import { NO_STREAM } from './audit-record.ts';
import type { AuditPhase } from './audit-progress.ts';
import type { AuditedTable } from './audited-table.ts';
import type { DueBound } from './due-bound.ts';
import { DIGEST_BYTES, digestOf, type EventContent, isLossy, keyOf, sha256Hex } from './event-digest.ts';
import { judgeGroup } from './judge-group.ts';
import { OrderCheck } from './order-check.ts';
import { openEntry } from './open-entry.ts';
import type { Pace } from './pace.ts';
import { fieldOf, originOf, positionOf, readEntry, readLetter } from './read-entry.ts';
import type { ReadingConnection, TextRow } from './reading-connection.ts';
import type { RedisByKey } from './redis-by-key.ts';
import { countRowsOfIds } from './rows-by-id.ts';
import { readRows } from './row-reader.ts';
import { contentColumns, ROW_PREFIX_COLUMNS } from './row-sql.ts';
import type { AuditOptions } from './run-audit.ts';
import { type IdRange, scanEntries } from './scan-entries.ts';
import { scanRangeOf } from './scan-range.ts';
import { Spool } from './spool.ts';
import { StreamBounds, type StreamFacts } from './stream-bounds.ts';
import { findStreams, StreamSet } from './stream-set.ts';
import { Tally } from './tally.ts';
import { isXidBefore } from './transaction-ids.ts';

type ComparisonOptions = AuditOptions & {
  readonly postgres: ReadingConnection;
  readonly redis: RedisByKey;
  readonly table: AuditedTable;
  readonly bound: DueBound;
  readonly pace: Pace;
};

/** Reads both sides into a spool, and judges what meets there. */
export class Comparison implements Disposable {
  rowCount = 0;
  entryCount = 0;
  bounds = new StreamBounds([], false);
  readonly #options: ComparisonOptions;
  readonly #spool: Spool;
  /** All shapes of an outbox say the same things in the same fields. */
  readonly #roles: EntryRoles;
  readonly streams = new StreamSet();
  /** Found while reading, before anything is judged. */
  readonly #whileReading: Tally;
  #streamsWithEntries = 0;
  #toldMs = 0;

  constructor(options: ComparisonOptions) {
    this.#options = options;
    this.#roles = rolesOf(options.table.outbox);
    this.#spool = new Spool({ dir: options.tempDir });
    this.#whileReading = this.#newTally();
  }

  get streamCount(): number {
    return this.#streamsWithEntries;
  }

  get spoolBytes(): number {
    return this.#spool.byteCount;
  }

  async readRows(): Promise<void> {
    const { postgres, table, range, pace } = this.#options;
    const router = new RowRouter(table.outbox, (slot) => ROW_PREFIX_COLUMNS + contentColumns(table) + slot);
    for await (const { rows, done } of readRows(postgres, table, range, pace)) {
      for (const row of rows) {
        this.#addRow(row, router);
        this.rowCount += 1;
      }
      this.#tell('reading rows', done);
    }
  }

  #addRow(row: TextRow, router: RowRouter): void {
    const { bound, table } = this.#options;
    const [
      xmin,
      timeUs,
      id = null,
      type = null,
      aggregateType = null,
      aggregateId = null,
      payloadSha256 = null,
      ...rest
    ] = row;
    if (id === null) {
      this.#whileReading.note('rowsWithoutId', 1);
      return;
    }
    const routed = router.find(row);
    // A filter left it out: there is nothing to be found.
    if (routed === 'dropped') return;
    const xid = Number(xmin);
    this.#spool.add({
      kind: 'row',
      key: keyOf(id),
      digest: digestOf(
        toldBy(this.#roles, {
          type,
          aggregateType,
          aggregateId,
          payloadSha256,
          headersSha256: rest.slice(0, table.outbox.slots.headers.length),
        }),
      ),
      stream: routed === 'none' ? NO_STREAM : this.streams.numberOf(routed.stream),
      timeUs: timeUs === null || timeUs === undefined ? null : BigInt(timeUs),
      xid,
      ordinal: this.rowCount,
      isDue: bound.xid !== null && isXidBefore(xid, bound.xid),
      isLossy: table.isRaw && [type, aggregateType, aggregateId].some(isLossy),
      id,
    });
  }

  /** The entries of the time of the range. */
  async readEntries(): Promise<void> {
    const { redis, table, range, settings } = this.#options;
    // Before the streams: what is redriven meanwhile is met twice, and never missed.
    await this.#readLetters();
    const routedTo = this.streams.names.length;
    await findStreams(redis, table.outbox.templates, this.streams, settings);
    const { inside } = this.#options.scanRange ?? scanRangeOf(range);
    for (const [number, name] of this.streams.names.entries()) {
      await this.#readStream(name, { number, isRoutedTo: number < routedTo, range: inside });
    }
  }

  async #readLetters(): Promise<void> {
    const { redis, outbox } = this.#options;
    for await (const heads of findLetters(redis.letterGround(), { outbox: outbox.name })) {
      for (const head of heads) {
        const letter = readLetter(head, NO_DIGEST);
        if (letter !== null) this.#spool.add(letter);
      }
    }
  }

  async #readStream(
    name: string,
    stream: { readonly number: number; readonly isRoutedTo: boolean; readonly range: IdRange },
  ): Promise<void> {
    const order = new OrderCheck();
    const strangers: string[] = [];
    let strangerCount = 0;
    let count = 0;
    for await (const entries of this.#pages(name, stream.range, 'reading entries', stream.number)) {
      for (const entry of entries) {
        const read = readEntry(entry, stream.number, order, this.#roles);
        if (read === 'foreign') {
          strangerCount += 1;
          if (strangers.length < this.#options.examplesMax) strangers.push(entry.id);
          continue;
        }
        count += 1;
        if (read === 'nameless') this.#whileReading.note('entriesWithoutId', 1);
        else this.#spool.add(read);
      }
    }
    this.#whileReading.note('newHistories', order.newHistories);
    // The template may fit the name of a stream that is none of the relay's.
    if (count === 0 && !stream.isRoutedTo) return;
    if (count > 0) this.#streamsWithEntries += 1;
    this.entryCount += count;
    this.#whileReading.note('foreign', strangerCount - strangers.length);
    for (const entryId of strangers) this.#whileReading.note('foreign', 1, { stream: name, entryId });
  }

  /**
   * What is missing from the time of the range is looked for in the rest of the streams, too: an entry may stand there
   * since its transaction was long, the relay was behind, or clocks differ.
   */
  async judge(): Promise<Tally> {
    await this.#readBounds();
    let tally = this.#judgeAll();
    const { outside } = this.#options.scanRange ?? scanRangeOf(this.#options.range);
    if (tally.findings.missing > 0 && outside.length > 0) {
      const isAllKnown = tally.missing.length === tally.findings.missing;
      const wanted = isAllKnown ? new Set(tally.missing.map(({ row }) => row.key.toString('latin1'))) : null;
      for (const range of outside) await this.#readOutside(range, wanted);
      await this.#readBounds();
      tally = this.#judgeAll();
    }
    await this.#forgetMovedRows(tally);
    return tally;
  }

  /** `wanted`: the keys that matter; null for all. */
  async #readOutside(range: IdRange, wanted: ReadonlySet<string> | null): Promise<void> {
    for (const [number, name] of this.streams.names.entries()) {
      for await (const entries of this.#pages(name, range, 'looking outside of the range', number)) {
        for (const entry of entries) {
          const id = fieldOf(entry.fields, this.#roles.id) ?? undefined;
          if (id === undefined || wanted?.has(keyOf(id).toString('latin1')) === false) continue;
          const read = readEntry(entry, number, new OrderCheck(), this.#roles);
          if (typeof read !== 'string') this.#spool.add(read);
        }
      }
    }
  }

  /** Up to the entry that is the last one now: a busy stream has no end. */
  async *#pages(name: string, range: IdRange, phase: AuditPhase, number: number) {
    const { redis, pace } = this.#options;
    const info = await new StreamReader(redis.forKey(name)).info(name);
    if (info === null) return;
    const to = range.to === '+' ? info.lastId : range.to;
    let firstMs: number | null = null;
    const lastMs = Number(parseEntryId(info.lastId)[0]);
    let count = 0;
    for await (const entries of scanEntries(redis, name, { from: range.from, to }, pace)) {
      yield entries.map((entry) => openEntry(entry, this.#roles));
      count += entries.length;
      const atMs = Number(entries.at(-1)?.id.split('-')[0] ?? 0);
      firstMs ??= Number(entries[0]?.id.split('-')[0] ?? 0);
      const ofStream = lastMs > firstMs ? (atMs - firstMs) / (lastMs - firstMs) : 1;
      this.#tell(phase, (number + Math.min(1, ofStream)) / this.streams.names.length, count);
    }
  }

  /** In this order: what is trimmed between the two makes the stream tell less, never more. */
  async #readBounds(): Promise<void> {
    const facts: StreamFacts[] = [];
    for (const name of this.streams.names) {
      const reader = new StreamReader(this.#options.redis.forKey(name));
      const firstCommittedAtUs = await this.#firstCommittedAtUs(name);
      const info = await reader.info(name);
      facts.push({
        exists: info !== null,
        hasLostEntries: info?.hasLostEntries ?? false,
        firstCommittedAtUs,
      });
    }
    this.bounds = new StreamBounds(facts, this.#options.isComplete);
  }

  async #firstCommittedAtUs(name: string): Promise<bigint | null> {
    const reader = new StreamReader(this.#options.redis.forKey(name));
    for (const count of [1, FIRST_ENTRIES]) {
      for (const entry of await reader.range(name, '-', '+', count)) {
        const { fields } = openEntry(entry, this.#roles);
        const us = parseCommittedAtUs(fieldOf(fields, this.#roles.committedAt) ?? undefined);
        if (us !== null && originOf(fields) === 'relayed' && positionOf(fields, this.#roles) !== null)
          return us;
      }
    }
    return null;
  }

  #judgeAll(): Tally {
    const tally = this.#newTally();
    tally.addAll(this.#whileReading);
    let groups = 0;
    for (const group of this.#spool.groups()) {
      tally.add(judgeGroup(group), group.filter(({ kind }) => kind === 'row').length, this.bounds);
      groups += 1;
      if (groups % 10_000 === 0) this.#tell('comparing', null);
    }
    return tally;
  }

  /**
   * A row that was updated while it was read may have been seen at two places, and then looks like two rows with one
   * entry. The table knows how many there are.
   */
  async #forgetMovedRows(tally: Tally): Promise<void> {
    const doubted = new Map(
      tally.missing.filter(({ rowsOfId }) => rowsOfId > 1).map(({ row, rowsOfId }) => [row.id, rowsOfId]),
    );
    if (doubted.size === 0) return;
    const { postgres, table } = this.#options;
    const counts = await countRowsOfIds(postgres, table, [...doubted.keys()]);
    for (const [id, seen] of doubted) tally.forgetMissing(id, seen - (counts.get(id) ?? 0));
  }

  #newTally(): Tally {
    return new Tally(this.streams, { examplesMax: this.#options.examplesMax, missingMax: MISSING_MAX });
  }

  #tell(phase: AuditPhase, done: number | null, more = 0): void {
    const nowMs = performance.now();
    if (nowMs < this.#toldMs + TELL_MS) return;
    this.#toldMs = nowMs;
    this.#options.progress.step({ phase, rows: this.rowCount, entries: this.entryCount + more, done });
  }

  [Symbol.dispose](): void {
    this.#spool[Symbol.dispose]();
  }
}

/** Among so many the first relayed one is looked for: those in front of it were recovered, replayed or are strangers. */
const FIRST_ENTRIES = 100;
const NO_DIGEST = Buffer.alloc(DIGEST_BYTES);
const TELL_MS = 100;
/** Missing rows that are remembered by name, some hundred bytes each. */
export const MISSING_MAX = 200_000;

/** What of a row its entry can tell. */
function toldBy(roles: EntryRoles, row: EventContent): EventContent {
  const nullText = roles.nullText ?? null;
  const nullSha256 = nullText === null ? null : sha256Hex(nullText);
  return {
    type: roles.type === null ? null : row.type,
    aggregateType: roles.aggregateType === null ? null : row.aggregateType,
    aggregateId: roles.aggregateId === null ? null : (row.aggregateId ?? nullText),
    payloadSha256: roles.payload === null ? null : (row.payloadSha256 ?? nullSha256),
    headersSha256: row.headersSha256,
  };
}
