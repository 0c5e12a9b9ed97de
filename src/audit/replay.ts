import { setImmediate } from 'node:timers/promises';
import type { OutboxSettings, Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { RowRouter } from '../route/row-router.ts';
import { checkToStream } from '../route/check-to-stream.ts';
import type { ReservedNames } from '../route/stream-router.ts';
import { Replayer } from '../sink/republisher.ts';
import { idSql } from '../source/row-values.ts';
import { quoteIdentifier } from '../source/sql.ts';
import { type AuditedTable, readAuditedTable } from './audited-table.ts';
import { Pace } from './pace.ts';
import type { ReadingConnection } from './reading-connection.ts';
import type { RedisByKey } from './redis-by-key.ts';
import { republish } from './republish.ts';
import { rangeConditions, routingSql, ROW_PREFIX_COLUMNS, type TimeRange, timeUsSql } from './row-sql.ts';
import { hasIdSql } from './rows-by-id.ts';
import { isXidBefore } from './transaction-ids.ts';

/** Which events are replayed: all conditions together. */
export interface ReplaySelection {
  readonly ids: readonly string[];
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  readonly range: TimeRange;
  /** At most so many, the oldest first. */
  readonly limit: number;
}

/** What a replay would append, told before anything is. */
export interface ReplayPlan {
  readonly table: AuditedTable;
  /** In the order in which they will be appended: that of their inserts. */
  readonly events: readonly { readonly id: string; readonly stream: string }[];
  readonly streams: ReadonlyMap<string, number>;
  /** Events that give no stream name. */
  readonly unroutable: number;
  /** Ids that were asked for and stand in no row. */
  readonly unknownIds: readonly string[];
  /** There are more than the limit. */
  readonly isCut: boolean;
}

export async function planReplay(
  postgres: ReadingConnection,
  { outbox, reserved }: { readonly outbox: OutboxSettings; readonly reserved: ReservedNames },
  selection: ReplaySelection,
  toStream: string | null,
): Promise<ReplayPlan> {
  const { range } = selection;
  if (toStream !== null) checkToStream(toStream, reserved);
  const table = await readAuditedTable(postgres, outbox, reserved, {
    needsTime: range.fromUs !== null || range.toUs !== null,
    findsEntries: false,
  });
  const router = new RowRouter(table.outbox, (slot) => ROW_PREFIX_COLUMNS + ID_COLUMNS + slot);
  const found: { id: string; stream: string; timeUs: bigint; xid: number; ordinal: number }[] = [];
  const streams = new Map<string, number>();
  let unroutable = 0;
  const { sql, values } = selectionSql(table, selection);
  for (const row of await postgres.rows(sql, values)) {
    const [xmin, timeUs, id] = row;
    const routed = router.find(row);
    if (routed === 'dropped' && toStream === null) continue;
    const stream = toStream ?? (typeof routed === 'string' ? null : routed.stream);
    if (stream === null || typeof id !== 'string') {
      unroutable += 1;
      continue;
    }
    found.push({ id, stream, timeUs: BigInt(timeUs ?? 0), xid: Number(xmin), ordinal: found.length });
    if (found.length <= selection.limit) streams.set(stream, (streams.get(stream) ?? 0) + 1);
    if (found.length % 10_000 === 0) await setImmediate();
  }
  const isCut = found.length > selection.limit;
  const known = new Set(found.map(({ id }) => id));
  const ordered = found.slice(0, selection.limit).sort((a, b) => {
    if (a.timeUs !== b.timeUs) return a.timeUs < b.timeUs ? -1 : 1;
    if (a.xid === b.xid) return a.ordinal - b.ordinal;
    return isXidBefore(a.xid, b.xid) ? -1 : 1;
  });
  return {
    table,
    events: ordered,
    streams,
    unroutable,
    unknownIds: selection.ids.filter((id) => !known.has(id)),
    isCut,
  };
}

/** Appends what was planned, marked as replayed. Returns how many events were appended. */
export async function replay(
  plan: ReplayPlan,
  servers: { readonly postgres: ReadingConnection; readonly redis: RedisByKey },
  options: {
    readonly settings: Settings;
    readonly toStream: string | null;
    readonly perSecond: number;
    readonly signal?: AbortSignal;
    readonly published: (events: number) => void;
  },
): Promise<number> {
  const { settings, toStream } = options;
  const pace = new Pace(options.perSecond, options.signal);
  let total = 0;
  for (const [stream, ids] of byLane(plan, servers.redis)) {
    total += await republish(ids, {
      settings,
      postgres: servers.postgres,
      table: plan.table,
      router:
        toStream === null
          ? plan.table.outbox.createRouter()
          : { route: () => ({ name: toStream, shape: 0 }) },
      publisher: new Replayer(servers.redis.forKey(stream), Date.now),
      pace,
      published: options.published,
    });
  }
  return total;
}

/** A script reaches one lane: the ids of each, with one of its streams. On a single Redis, all in one. */
function byLane({ events }: ReplayPlan, redis: RedisByKey): [stream: string, ids: string[]][] {
  const lanes = new Map<string, [stream: string, ids: Set<string>]>();
  for (const { id, stream } of events) {
    const key = redis.laneKeyOf(stream);
    const lane = lanes.get(key) ?? [stream, new Set()];
    lane[1].add(id);
    lanes.set(key, lane);
  }
  return [...lanes.values()].map(([stream, ids]) => [stream, [...ids]]);
}

/** Behind the prefix: the id. */
const ID_COLUMNS = 1;

/** One more than the limit, so that it is known whether there are more. */
function selectionSql(table: AuditedTable, selection: ReplaySelection): { sql: string; values: unknown[] } {
  const { mapping } = table.outbox;
  const conditions = ['true', ...rangeConditions(table, selection.range)];
  const values: unknown[] = [];
  if (selection.ids.length > 0) {
    values.push(selection.ids);
    conditions.push(hasIdSql(table));
  }
  for (const [column, value] of [
    [mapping.columnAggregateType, selection.aggregateType],
    [mapping.columnAggregateId, selection.aggregateId],
  ] as const) {
    if (value === null) continue;
    if (column === null) {
      throw new WalrelayError('CONFIG_INVALID', `${mapping.name} has no column for that: nothing fits`);
    }
    values.push(value);
    conditions.push(`format('%s', ${quoteIdentifier(column)}) = $${values.length}::text`);
  }
  const order = table.timeColumn === null ? 'ctid' : `${quoteIdentifier(table.timeColumn)}, ctid`;
  return {
    sql: `SELECT ${['xmin', timeUsSql(table), idSql(mapping.columnId), ...routingSql(table)].join(', ')} FROM ${table.name} WHERE ${conditions.join(
      ' AND ',
    )} ORDER BY ${order} LIMIT ${selection.limit + 1}`,
    values,
  };
}
