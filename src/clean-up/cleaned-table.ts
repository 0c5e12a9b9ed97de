import type { TableOutbox } from '../config/outbox-source.ts';
import type { Settings } from '../config/settings.ts';
import { nameSetting } from '../core/name-setting.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../source/sql.ts';
import type { CleaningConnection } from './cleaning-connection.ts';

/** The outbox table, the slot and the clock, as the clean-up finds them at one moment. */
export interface CleanedTable {
  readonly oid: number;
  /** Quoted and qualified, as it is called now. */
  readonly name: string;
  readonly schema: string;
  readonly plainName: string;
  readonly owner: string;
  readonly isPartitioned: boolean;
  /** Null: the table has no time, or none was named. */
  readonly timeColumn: string | null;
  readonly timeType: string;
  /** A btree index begins with the time column: the oldest rows are found without reading the table. */
  readonly hasTimeIndex: boolean;
  /** The next transaction gets this id, or a later one. 64 bits. */
  readonly nextXid: bigint;
  /**
   * Every transaction before this id had ended before the position that the slot is confirmed at; 64 bits. Null: the
   * slot is not held by this session.
   */
  readonly confirmedXid: bigint | null;
  /** By the clock of Postgres, microseconds since 1970. */
  readonly nowUs: number;
  readonly partitions: readonly TablePartition[];
  /** The columns that partition it, by range; null for any other kind. */
  readonly rangeColumns: readonly string[] | null;
}

export interface TablePartition {
  readonly oid: number;
  /** Quoted and qualified. */
  readonly name: string;
  readonly isDefault: boolean;
  /** Microseconds since 1970; null: no bound on that side, or none that is a time. */
  readonly fromUs: number | null;
  readonly toUs: number | null;
}

export interface CleaningPlace {
  readonly settings: Settings;
  readonly outbox: TableOutbox;
  /** A table that is renamed is still the one. */
  readonly tableOid: number;
  /** Of the session's walsender: the slot is this session's as long as it is held by it. */
  readonly walSenderPid: number;
  readonly versionNumber: number;
}

/** Throws what keeps the table from being cleaned up, with the statement that mends it. */
export async function readCleanedTable(
  connection: CleaningConnection,
  place: CleaningPlace,
): Promise<CleanedTable> {
  const { outbox, tableOid } = place;
  const timeColumn = outbox.columnTime;
  const [row] = await connection.rows(factsSql(place, timeColumn));
  const facts = JSON.parse(row?.[0] ?? 'null') as TableFacts | null;
  if (facts === null)
    throw new WalrelayError('TABLE_MISSING', `the table ${quoteQualified(outbox.table)} is gone`);
  const name = quoteQualified(facts);
  checkPrivileges(facts, name, outbox);
  checkDeletes(facts, name);
  if (timeColumn !== null) checkTimeColumn(facts, name, timeColumn, outbox);
  const table: CleanedTable = {
    oid: tableOid,
    name,
    schema: facts.schema,
    plainName: facts.name,
    owner: facts.owner,
    isPartitioned: facts.isPartitioned,
    timeColumn,
    timeType: facts.timeType ?? '',
    hasTimeIndex: facts.hasTimeIndex,
    nextXid: BigInt(facts.nextXid),
    confirmedXid: facts.confirmedXid === null ? null : BigInt(facts.confirmedXid),
    nowUs: facts.nowUs,
    rangeColumns: facts.rangeColumns,
    partitions: facts.partitions.map(({ schema, name: leaf, ...partition }) => ({
      ...partition,
      name: quoteQualified({ schema, name: leaf }),
    })),
  };
  if (outbox.cleanup === 'partitions') checkPartitioned(table, outbox);
  return table;
}

function checkPrivileges(facts: TableFacts, name: string, { cleanup, columnId }: TableOutbox): void {
  const role = quoteIdentifier(facts.user);
  const refuse = (hint: string) =>
    new WalrelayError('PG_PRIVILEGE', `the role ${facts.user} may not clean up the table ${name}`, { hint });
  const schema = facts.canUseSchema
    ? []
    : [`GRANT USAGE ON SCHEMA ${quoteIdentifier(facts.schema)} TO ${role};`];
  if (cleanup === 'partitions') {
    const owner = quoteIdentifier(facts.owner);
    if (!facts.isOwner) {
      throw refuse(`Only its owner makes and drops partitions: GRANT ${owner} TO ${role};`);
    }
    if (!facts.ownerCanCreate) {
      throw refuse(`GRANT USAGE, CREATE ON SCHEMA ${quoteIdentifier(facts.schema)} TO ${owner};`);
    }
    return;
  }
  if (schema.length === 0 && facts.canSelect && facts.canDelete && facts.canLock) return;
  // SELECT … FOR UPDATE asks for UPDATE on one column, whichever.
  throw refuse(
    [
      ...schema,
      `GRANT SELECT, DELETE, UPDATE (${quoteIdentifier(columnId[0] ?? '')}) ON ${name} TO ${role};`,
    ].join(' '),
  );
}

/** Postgres refuses every DELETE then, also those of the application. */
function checkDeletes({ deletesSentBy, hasIdentity }: TableFacts, name: string): void {
  const [publication] = deletesSentBy;
  if (publication === undefined || hasIdentity) return;
  throw new WalrelayError(
    'PUBLICATION_UNSUITABLE',
    `the publication ${quoteIdentifier(publication)} sends deletes of ${name}, which has no replica identity: Postgres refuses them`,
    {
      hint:
        `ALTER PUBLICATION ${quoteIdentifier(publication)} SET (publish = 'insert'); (the relay then stops with PUBLICATION_CHANGED if it is its ` +
        `own: \`walrelay epoch accept\`) or ALTER TABLE ${name} ADD PRIMARY KEY (…);`,
    },
  );
}

function checkTimeColumn(facts: TableFacts, name: string, column: string, outbox: TableOutbox): void {
  const hint =
    `Name a column of the type timestamptz, filled by Postgres (DEFAULT now()): ${nameSetting(outbox, 'columnTime')}; ` +
    'if there is none, none.';
  if (facts.timeType === null) {
    throw new WalrelayError('COLUMN_MISSING', `the table ${name} has no column ${column}`, { hint });
  }
  if (TIME_TYPES.includes(facts.timeType)) return;
  throw new WalrelayError(
    'COLUMN_UNSUITABLE',
    `the column ${column} of ${name} is no time but ${facts.timeType}`,
    { hint },
  );
}

function checkPartitioned({ name, rangeColumns, timeColumn }: CleanedTable, outbox: TableOutbox): void {
  if (timeColumn !== null && rangeColumns?.length === 1 && rangeColumns[0] === timeColumn) return;
  throw new WalrelayError(
    'TABLE_UNSUITABLE',
    `the table ${name} is not partitioned by range of its time column (${timeColumn ?? 'none'})`,
    {
      hint: `delete (${nameSetting(outbox, 'cleanup')}) suits any table; postgres/outbox-partitioned.sql makes one that is partitioned by day.`,
    },
  );
}

const TIME_TYPES: readonly string[] = ['timestamp with time zone', 'timestamp without time zone', 'date'];

interface TableFacts {
  readonly schema: string;
  readonly name: string;
  readonly user: string;
  readonly owner: string;
  readonly isOwner: boolean;
  readonly ownerCanCreate: boolean;
  readonly canUseSchema: boolean;
  readonly canSelect: boolean;
  readonly canDelete: boolean;
  readonly canLock: boolean;
  readonly isPartitioned: boolean;
  readonly rangeColumns: readonly string[] | null;
  readonly timeType: string | null;
  readonly hasTimeIndex: boolean;
  readonly hasIdentity: boolean;
  readonly deletesSentBy: readonly string[];
  readonly nextXid: string;
  readonly confirmedXid: string | null;
  readonly nowUs: number;
  readonly partitions: readonly (Omit<TablePartition, 'name'> & {
    readonly schema: string;
    readonly name: string;
  })[];
}

/**
 * The slot, if it is held by this session. Every transaction before its catalog_xmin had ended before its confirmed
 * position: Postgres moves the two that way, and keeps them so on disk.
 */
export function heldSlotSql({ settings, walSenderPid }: CleaningPlace): string {
  return `SELECT s.catalog_xmin FROM pg_replication_slots s WHERE s.slot_name = ${quoteLiteral(settings.slot)}
    AND s.database = current_database() AND s.active_pid = ${walSenderPid}`;
}

function factsSql(place: CleaningPlace, timeColumn: string | null): string {
  const bySchema = `OR EXISTS (SELECT FROM pg_publication_namespace n WHERE n.pnpubid = p.oid
      AND n.pnnspid IN (SELECT relnamespace FROM pg_class WHERE oid IN (SELECT oid FROM line)))`;
  const time = quoteLiteral(timeColumn ?? '');
  return `
WITH t AS (SELECT * FROM pg_class WHERE oid = ${place.tableOid}),
line AS (SELECT oid FROM t UNION SELECT relid FROM t, pg_partition_ancestors(t.oid)),
now AS (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next),
time AS (SELECT a.attnum, format_type(a.atttypid, NULL) AS type FROM t JOIN pg_attribute a ON a.attrelid = t.oid
  WHERE a.attname = ${time} AND a.attnum > 0 AND NOT a.attisdropped),
bound AS (SELECT c.oid, n.nspname, c.relname, pg_get_expr(c.relpartbound, c.oid) AS text,
    regexp_match(pg_get_expr(c.relpartbound, c.oid), $re$^FOR VALUES FROM \\((?:'([^']*)'|MINVALUE)\\) TO \\((?:'([^']*)'|MAXVALUE)\\)$$re$) AS ends
  FROM t JOIN pg_inherits i ON i.inhparent = t.oid JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
  JOIN pg_namespace n ON n.oid = c.relnamespace)
SELECT json_build_object(
  'schema', n.nspname, 'name', t.relname, 'user', current_user, 'owner', pg_get_userbyid(t.relowner),
  'isOwner', pg_has_role(t.relowner, 'USAGE'),
  'ownerCanCreate', has_schema_privilege(t.relowner, n.oid, 'CREATE') AND has_schema_privilege(t.relowner, n.oid, 'USAGE'),
  'canUseSchema', has_schema_privilege(n.oid, 'USAGE'),
  'canSelect', has_table_privilege(t.oid, 'SELECT'), 'canDelete', has_table_privilege(t.oid, 'DELETE'),
  'canLock', has_any_column_privilege(t.oid, 'UPDATE'),
  'isPartitioned', t.relkind = 'p',
  'rangeColumns', (SELECT (SELECT json_agg(a.attname) FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = ANY (k.partattrs::int2[]))
    FROM pg_partitioned_table k WHERE k.partrelid = t.oid AND k.partstrat = 'r' AND k.partnatts = 1),
  'timeType', (SELECT type FROM time),
  'hasTimeIndex', EXISTS (SELECT FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
    WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL AND am.amname = 'btree' AND i.indkey[0] = (SELECT attnum FROM time)),
  'hasIdentity', t.relreplident = 'f' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = t.oid
    AND CASE t.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident END),
  'deletesSentBy', (SELECT coalesce(json_agg(p.pubname ORDER BY p.pubname), '[]') FROM pg_publication p WHERE p.pubdelete AND (p.puballtables
    OR EXISTS (SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid IN (SELECT oid FROM line))
    ${place.versionNumber >= 150_000 ? bySchema : ''})),
  'nextXid', now.next::text,
  'confirmedXid', (now.next - age((${heldSlotSql(place)})))::text,
  'nowUs', (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
  'partitions', (SELECT coalesce(json_agg(json_build_object('oid', b.oid::bigint, 'schema', b.nspname, 'name', b.relname,
      'isDefault', b.text = 'DEFAULT', 'fromUs', ${edgeSql(1)}, 'toUs', ${edgeSql(2)}) ORDER BY b.oid), '[]') FROM bound b)
)::text FROM t JOIN pg_namespace n ON n.oid = t.relnamespace, now`;
}

/** Bounds are written as the session's DateStyle and TimeZone say; a column of another type has none here. */
function edgeSql(end: 1 | 2): string {
  const us = (type: string) => `(extract(epoch FROM b.ends[${end}]::${type}::timestamptz) * 1000000)::bigint`;
  return `CASE (SELECT type FROM time) WHEN 'timestamp with time zone' THEN ${us('timestamptz')}
    WHEN 'timestamp without time zone' THEN ${us('timestamp')} WHEN 'date' THEN ${us('date')} END`;
}
