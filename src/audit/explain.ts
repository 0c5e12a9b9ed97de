import type { OutboxSettings, Settings } from '../config/settings.ts';
import type { EntryRoles } from '../core/entry-shape.ts';
import { formatLsn, toLsn } from '../core/lsn.ts';
import { formatPosition } from '../core/position.ts';
import { toWalrelayError } from '../core/walrelay-error.ts';
import { findLetters } from '../dead-letters/find-letters.ts';
import { formatLetterId } from '../dead-letters/letter-id.ts';
import { rolesOf } from '../route/outbox.ts';
import { RowRouter } from '../route/row-router.ts';
import { parseCommittedAtUs } from '../sink/commit-time.ts';
import { type EntryId, parseEntryId, type StreamEntry, StreamReader } from '../sink/stream-reader.ts';
import { quoteIdentifier } from '../source/sql.ts';
import type { EntryOrigin } from './audit-record.ts';
import type { AuditProgress } from './audit-progress.ts';
import { formatUs } from './audit-report.ts';
import { type AuditedTable, readAuditedTable } from './audited-table.ts';
import { type DueBound, dueBound } from './due-bound.ts';
import { type GroupStanding, standingOf } from './group-standing.ts';
import { openEntry } from './open-entry.ts';
import { Pace } from './pace.ts';
import { fieldOf, originOf, positionOf } from './read-entry.ts';
import type { ReadingConnection } from './reading-connection.ts';
import type { RedisByKey } from './redis-by-key.ts';
import { checkSameHistory, positionsOf, readServerState, type ServerState } from './relay-state.ts';
import { routingSql, timeUsSql } from './row-sql.ts';
import { hasIdSql } from './rows-by-id.ts';
import { type IdRange, scanEntries } from './scan-entries.ts';
import { StreamBounds } from './stream-bounds.ts';
import { findStreams, StreamSet } from './stream-set.ts';
import { isXidBefore } from './transaction-ids.ts';

/** The life of one event, as far as both servers remember it. */
export interface Explanation {
  readonly eventId: string;
  readonly rows: readonly ExplainedRow[];
  readonly entries: readonly ExplainedEntry[];
  readonly letters: readonly ExplainedLetter[];
  readonly relay: {
    readonly watermark: string;
    readonly floor: string;
    readonly confirmed: string | null;
    readonly walEnd: string;
    readonly holder: string | null;
  };
  /** Why no entry was found, or what else is odd; empty when all is as it should be. */
  readonly remarks: readonly string[];
}

export interface ExplainedRow {
  readonly type: string | null;
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  readonly payloadBytes: number | null;
  readonly insertedAt: string | null;
  readonly transactionId: number;
  /** Only with track_commit_timestamp. */
  readonly committedAt: string | null;
  /** Null: the relay stops in front of such an event, or leaves it out. */
  readonly stream: string | null;
  /** A filter leaves it out. */
  readonly isDropped: boolean;
}

export interface ExplainedEntry {
  readonly stream: string;
  readonly entryId: EntryId;
  readonly origin: EntryOrigin;
  readonly appendedAt: string;
  readonly position: string | null;
  readonly committedAt: string | null;
  /** From commit to append, by the clocks of both hosts. */
  readonly latencyMs: number | null;
  readonly groups: readonly GroupStanding[];
}

export interface ExplainedLetter {
  /** As `walrelay dead-letters show` takes it. */
  readonly letter: string;
  readonly reason: string;
  readonly message: string;
}

export interface ExplainOptions {
  readonly settings: Settings;
  readonly outbox: OutboxSettings;
  readonly perSecond: number;
  readonly progress: AuditProgress;
  readonly signal?: AbortSignal;
}

export async function explain(
  eventId: string,
  postgres: ReadingConnection,
  redis: RedisByKey,
  options: ExplainOptions,
): Promise<Explanation> {
  const { settings } = options;
  const table = await readAuditedTable(postgres, options.outbox, settings, { needsTime: false });
  const first = await redis.readLane();
  const server = await readServerState(postgres, settings.slot);
  const lane = await redis.readLane();
  const found = await readRowsOf(eventId, postgres, table, server.tracksCommitTime);
  const search = new Search(redis, table, options);
  const entries = await search.find(eventId, found);
  const remarks: string[] = [];
  try {
    checkSameHistory(first, server, settings);
  } catch (error) {
    remarks.push(toWalrelayError(error).message);
  }
  const letters = await lettersOf(eventId, redis, options);
  for (const { letter, reason, message } of letters)
    remarks.push(`It stands in the dead letters as ${letter} (${reason}): ${message}`);
  if (entries.length === 0 && letters.length === 0)
    remarks.push(...(await whyNone(found, dueBound(server, lane), server, search)));
  return {
    eventId,
    rows: found.map(({ row }) => row),
    entries,
    letters,
    relay: {
      ...positionsOf(lane, server),
      walEnd: formatLsn(server.walEndLsn),
      holder: server.slot?.holder ?? null,
    },
    remarks: [...remarks, ...oddities(found, entries)],
  };
}

async function lettersOf(
  eventId: string,
  redis: RedisByKey,
  { settings, outbox }: ExplainOptions,
): Promise<ExplainedLetter[]> {
  const found: ExplainedLetter[] = [];
  for await (const heads of findLetters(redis.letterGround(), { outbox: outbox.name })) {
    for (const head of heads) {
      if (head.eventId !== eventId) continue;
      const letter = formatLetterId(settings.deadLetterStream, head);
      found.push({ letter, reason: head.reason, message: head.message });
    }
  }
  return found;
}

interface FoundRow {
  readonly row: ExplainedRow;
  readonly timeUs: bigint | null;
}

async function readRowsOf(
  eventId: string,
  postgres: ReadingConnection,
  table: AuditedTable,
  tracksCommitTime: boolean,
): Promise<FoundRow[]> {
  const { mapping } = table.outbox;
  const names = [mapping.columnType, mapping.columnAggregateType, mapping.columnAggregateId].map((column) =>
    column === null ? 'NULL' : quoteIdentifier(column),
  );
  const payload =
    mapping.columnPayload === null
      ? 'NULL'
      : `octet_length(${table.isBytea(mapping.columnPayload) ? quoteIdentifier(mapping.columnPayload) : `format('%s', ${quoteIdentifier(mapping.columnPayload)})`})`;
  const committed = tracksCommitTime
    ? `to_char(pg_xact_commit_timestamp(xmin) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
    : 'NULL';
  const router = new RowRouter(table.outbox, (slot) => EXPLAINED_COLUMNS + slot);
  const rows = await postgres.rows(
    `SELECT ${['xmin', timeUsSql(table), committed, ...names, payload, ...routingSql(table)].join(', ')} FROM ${table.name} WHERE ${hasIdSql(table)} LIMIT 20`,
    [[eventId]],
  );
  return rows.map((values) => {
    const [xmin, timeUs, committedAt, type, aggregateType, aggregateId, payloadBytes] = values;
    const routed = router.find(values);
    const us = timeUs === null || timeUs === undefined ? null : BigInt(timeUs);
    return {
      timeUs: us,
      row: {
        type: type ?? null,
        aggregateType: aggregateType ?? null,
        aggregateId: aggregateId ?? null,
        payloadBytes: payloadBytes === null || payloadBytes === undefined ? null : Number(payloadBytes),
        insertedAt: us === null ? null : formatUs(us),
        transactionId: Number(xmin),
        committedAt: committedAt ?? null,
        stream: typeof routed === 'string' ? null : routed.stream,
        isDropped: routed === 'dropped',
      },
    };
  });
}

/** In front of the values by which a row is routed. */
const EXPLAINED_COLUMNS = 7;

/** Looks for an event's entries: where they should be first, then everywhere. */
class Search {
  readonly redis: RedisByKey;
  readonly roles: EntryRoles;
  readonly #table: AuditedTable;
  readonly #options: ExplainOptions;
  #looked = 0;

  constructor(redis: RedisByKey, table: AuditedTable, options: ExplainOptions) {
    this.redis = redis;
    this.#table = table;
    this.roles = rolesOf(table.outbox);
    this.#options = options;
  }

  async find(eventId: string, rows: readonly FoundRow[]): Promise<ExplainedEntry[]> {
    const streams = new StreamSet();
    for (const { row } of rows) if (row.stream !== null) streams.numberOf(row.stream);
    const home = [...streams.names];
    const times = rows.flatMap(({ timeUs }) => timeUs ?? []);
    const earliestUs = times.reduce<bigint | null>((a, b) => (a === null || b < a ? b : a), null);
    if (earliestUs !== null) {
      // An entry is appended after its row was inserted; a minute is for clocks that differ.
      const fromMs = earliestUs / 1000n - 60_000n;
      const found = await this.#look(eventId, home, { from: String(fromMs < 0n ? 0n : fromMs), to: '+' });
      if (found.length > 0) return found;
    }
    await findStreams(this.redis, this.#table.outbox.templates, streams, this.#options.settings);
    return this.#look(eventId, streams.names, { from: '-', to: '+' });
  }

  async #look(eventId: string, names: readonly string[], range: IdRange): Promise<ExplainedEntry[]> {
    const { perSecond, progress, signal } = this.#options;
    const found: ExplainedEntry[] = [];
    const pace = new Pace(perSecond, signal);
    for (const [number, name] of names.entries()) {
      const reader = new StreamReader(this.redis.forKey(name));
      const info = await reader.info(name);
      if (info === null) continue;
      for await (const entries of scanEntries(this.redis, name, { ...range, to: info.lastId }, pace)) {
        this.#looked += entries.length;
        progress.step({
          phase: 'reading entries',
          rows: 0,
          entries: this.#looked,
          done: number / names.length,
        });
        for (const each of entries) {
          const entry = openEntry(each, this.roles);
          if (fieldOf(entry.fields, this.roles.id) === eventId)
            found.push(await this.#describe(entry, name, reader));
        }
      }
    }
    return found;
  }

  async #describe(entry: StreamEntry, stream: string, reader: StreamReader): Promise<ExplainedEntry> {
    const position = positionOf(entry.fields, this.roles);
    const committedAt = fieldOf(entry.fields, this.roles.committedAt);
    const committedUs = parseCommittedAtUs(committedAt ?? undefined);
    const [ms] = parseEntryId(entry.id);
    return {
      stream,
      entryId: entry.id,
      origin: originOf(entry.fields),
      appendedAt: formatUs(ms * 1000n),
      position:
        position === null ? null : formatPosition({ commitLsn: toLsn(position.lsn), ordinal: position.seq }),
      committedAt,
      latencyMs: committedUs === null ? null : Number(ms - committedUs / 1000n),
      groups: await standingOf(entry.id, stream, reader),
    };
  }
}

/** In the order of what is most probable. */
async function whyNone(
  rows: readonly FoundRow[],
  bound: DueBound,
  server: ServerState,
  search: Search,
): Promise<string[]> {
  const first = rows[0];
  if (first === undefined) {
    return [
      'No row and no entry has this id. Either there never was such an event (or its transaction was rolled back), or its row was deleted and its entry trimmed.',
    ];
  }
  const { row, timeUs } = first;
  if (row.isDropped) return ['A route of the outbox leaves such events out: it has no entry, rightly.'];
  if (row.stream === null) {
    return [
      'The row gives no stream name (see EVENT_NO_ROUTE and EVENT_STREAM_NAME): the relay stops in front of it.',
    ];
  }
  if (bound.xid === null || !isXidBefore(row.transactionId, bound.xid)) {
    return [
      server.slot === null
        ? 'The slot does not exist: nothing is relayed.'
        : `It is not surely relayed yet: the relay has confirmed up to ${
            server.slot.confirmedLsn === null ? 'nothing' : formatLsn(server.slot.confirmedLsn)
          }, the WAL ends at ${formatLsn(server.walEndLsn)}. ${
            server.slot.isActive ? 'The relay is at work.' : 'No relay is connected to the slot.'
          } A long transaction elsewhere delays this judgement too.`,
    ];
  }
  const reader = new StreamReader(search.redis.forKey(row.stream));
  const [head] = await reader.range(row.stream, '-', '+', 1);
  const info = await reader.info(row.stream);
  const facts = {
    exists: info !== null,
    hasLostEntries: info?.hasLostEntries ?? false,
    firstCommittedAtUs: parseCommittedAtUs(
      head === undefined
        ? undefined
        : (fieldOf(openEntry(head, search.roles).fields, search.roles.committedAt) ?? undefined),
    ),
  };
  if (info === null)
    return [`The stream ${row.stream} does not exist: it was deleted, or never had an entry.`];
  const absence = new StreamBounds([facts], false).judge(0, timeUs);
  if (absence === 'missing') {
    return [
      'It is missing: the relay has passed it, and the stream goes back further than it. `walrelay audit --repair` appends what is missing.',
    ];
  }
  return [
    absence === 'trimmed'
      ? 'The stream was trimmed up to where the entry would stand.'
      : 'The row is older than the first entry of its stream: it was inserted before the relay began, or its entry is gone.',
  ];
}

function oddities(rows: readonly FoundRow[], entries: readonly ExplainedEntry[]): string[] {
  const remarks: string[] = [];
  if (rows.length > 1) remarks.push(`${rows.length} rows have this id: each is an event of its own.`);
  if (entries.length > 0 && rows.length === 0) remarks.push('The row was deleted after it was relayed.');
  const positions = entries.flatMap(({ position }) => position ?? []);
  if (new Set(positions).size < positions.length) {
    remarks.push('It was appended twice at one position: that must not happen. Please report it.');
  }
  const homes = rows.flatMap(({ row }) => row.stream ?? []);
  const isElsewhere = ({ stream, origin }: ExplainedEntry) =>
    origin !== 'replayed' && !homes.includes(stream);
  if (homes.length > 0 && entries.some(isElsewhere)) {
    remarks.push(`The row is routed to ${homes[0]} now: the settings or the row were changed since.`);
  }
  return remarks;
}
