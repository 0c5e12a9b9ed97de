import { WalrelayError } from '../core/walrelay-error.ts';
import type { Ground } from '../relay/ground.ts';
import type { Outbox } from '../route/outbox.ts';
import { findProblems } from '../source/preflight.ts';
import { rangeSql } from '../source/row-order.ts';
import { idSql } from '../source/row-values.ts';
import { slotLockSql } from '../source/slot-lock.ts';
import { quoteQualified } from '../source/sql.ts';
import { IdPartitions } from './id-partitions.ts';
import { rangeFrom, type RowSource } from './missing-rows.ts';
import { type HeldIds, readHeld } from './read-held.ts';
import type { Facts } from './snapshot-lanes.ts';
import type { SnapshotStart } from './snapshot-plan.ts';
import type { SnapshotSelection } from './snapshot-selection.ts';

/** What a snapshot looks at before it changes anything, and what it refuses. */

/** A relay that runs holds it, and so does another snapshot. */
export async function takeLock({ postgres, settings }: Ground): Promise<void> {
  const [lock] = await postgres.query(slotLockSql(settings.slot));
  if (String(lock?.['locked']) === 'true') return;
  throw new WalrelayError('SLOT_IN_USE', `the slot ${settings.slot} is in use: its lock is taken`, {
    hint: 'A relay runs, or another snapshot or recovery: stop it first, or wait for its end.',
  });
}

/** `tolerated`: problems that are none to a snapshot. `refuse` throws the first of the others. */
export async function readFacts(
  ground: Ground,
  tolerated: ReadonlySet<string>,
  refuse: (problems: readonly WalrelayError[]) => void,
): Promise<Facts> {
  const catalog = await ground.readCatalog();
  if (catalog.server.isInRecovery) {
    throw new WalrelayError('PG_READ_ONLY', 'this server is a standby: a snapshot is taken on the primary');
  }
  refuse(findProblems(catalog, ground.shape.expected).filter(({ code }) => !tolerated.has(code)));
  if (catalog.slot?.isActive === true) {
    throw new WalrelayError(
      'SLOT_IN_USE',
      `the slot ${ground.settings.slot} is in use (${catalog.slot.holder ?? 'nobody knows by whom'})`,
      { hint: 'A relay runs: stop it first.' },
    );
  }
  return { catalog, identity: await ground.readIdentity(), lane: await ground.lanes.read() };
}

/** How many rows there are to publish. A row without an id is refused: nobody could tell later whether it stands. */
export async function countRows(source: RowSource): Promise<number> {
  const { outbox, table: tableName, order, reader } = source;
  const [where = ''] = rangeSql(order, rangeFrom(source.since, source));
  const id = idSql(outbox.mapping.columnId);
  const table = quoteQualified(tableName);
  const [row] = await reader.query(`SELECT count(*), count(${id}) FROM ${table} ${where}`);
  const [rows, withId] = [Number(row?.[0]), Number(row?.[1])];
  if (withId === rows) return rows;
  throw new WalrelayError(
    'COLUMN_UNSUITABLE',
    `${rows - withId} rows of ${table} have no id (the column ${id} is NULL)`,
    {
      hint: `A snapshot that is interrupted finds by the ids what stands. Leave them out: --where '${id} IS NOT NULL'.`,
    },
  );
}

/** What stands there may be of these very rows, or of others: only an operator knows. */
export async function requireEmptyStreams(ground: Ground, outboxes: readonly Outbox[]): Promise<void> {
  using ignored = new IdPartitions();
  const held = await readHeld(ground, outboxes, ignored, () => {});
  if (held.entries === 0) return;
  const names = new Set(streamsOf(held).flatMap(({ name, entries }) => (entries > 0 ? [name] : [])));
  throw new WalrelayError(
    'SNAPSHOT_IN_DOUBT',
    `streams hold ${held.entries} entries already (${[...names].slice(0, 3).join(', ')}${names.size > 3 ? ', …' : ''}), ` +
      'which may be of the rows that the snapshot would publish',
  );
}

export function requireUntrimmed(held: HeldIds): void {
  const trimmed = streamsOf(held).find(({ hasLostEntries }) => hasLostEntries);
  if (trimmed === undefined) return;
  throw new WalrelayError(
    'SNAPSHOT_IN_DOUBT',
    `the stream ${trimmed.name} had entries trimmed or deleted, as far as this Redis tells, before the snapshot had ended: ` +
      'what it lost would be published again',
    {
      hint: 'If that is right, or nothing was trimmed (Redis 6.2 does not tell), run `walrelay init --snapshot --republish-trimmed`.',
    },
  );
}

/** With a new slot in place of a lost one, tables that the snapshot is not of would lose what was committed in between. */
export function requireAllTables(
  start: SnapshotStart,
  { tables }: SnapshotSelection,
  { settings }: Ground,
): void {
  if (start !== 'anew' || tables.length === settings.outboxes.length) return;
  const names = tables.map(({ outbox }) => outbox).join(', ');
  throw new WalrelayError(
    'SNAPSHOT_IN_DOUBT',
    `the slot ${settings.slot} was lost before the snapshot of ${names} had ended: of the other tables, events that were ` +
      'committed since it was made would be neither in a snapshot nor in a new slot',
    {
      hint: `Begin anew with all tables: delete the streams and the lane state (DEL ${settings.metaKey}), then \`walrelay init --snapshot\`.`,
    },
  );
}

function streamsOf({ tables }: HeldIds) {
  return tables.flatMap(({ streams }) => [...streams.values()]);
}
