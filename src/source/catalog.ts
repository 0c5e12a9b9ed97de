import { type Lsn, parseLsn } from '../core/lsn.ts';
import { type QualifiedName, quoteLiteral } from './sql.ts';

/** What the catalog says about everything the relay depends on, read by one query. */
export interface Catalog {
  readonly server: ServerFacts;
  /** In the order of the names that were asked for. */
  readonly tables: readonly TableCatalog[];
  /** What is said of the publication with regard to a table is said of the first; its identity covers all of them. */
  readonly publication: PublicationFacts | null;
  readonly slot: SlotFacts | null;
}

/** What it says about one captured table and its place in the publication. */
export interface TableCatalog {
  readonly table: TableFacts | null;
  /** The table that has the configured name now; another one than `table` when that was asked for by its OID. */
  readonly namedTableOid: number | null;
  readonly publication: PublicationFacts | null;
}

export interface ServerFacts {
  /** As server_version_num: 170010 is 17.10. */
  readonly versionNumber: number;
  readonly version: string;
  readonly database: string;
  readonly user: string;
  readonly canReplicate: boolean;
  readonly walLevel: string;
  readonly clientEncoding: string;
  readonly serverEncoding: string;
  readonly isInRecovery: boolean;
  /** The end of the WAL that is flushed (primary) or replayed (standby). */
  readonly walEndLsn: Lsn;
  /** 0: the server never drops a silent receiver. */
  readonly walSenderTimeoutMs: number;
  readonly synchronousStandbyNames: string;
  /** 0 where the server has no such setting or it is off. */
  readonly idleSlotTimeoutS: number;
  /** Physical slots: a standby that is fed by one is meant to stay, and may be promoted. */
  readonly physicalSlots: readonly string[];
  /** Null before version 17. Which physical slots must have a change before a failover slot sends it. */
  readonly synchronizedStandbySlots: string | null;
  /** Whether any role may emit logical messages; null where none are read. */
  readonly canAllEmit: boolean | null;
}

export interface TableFacts {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  readonly kind: string;
  readonly persistence: string;
  readonly columns: readonly string[];
  /** Partitions, of all levels, whose rows are never in the WAL: unlogged ones and foreign tables. */
  readonly unloggedPartitions: readonly string[];
  /** The partitions under whose names its rows are sent; none where they are sent under its own. */
  readonly partitions: readonly Partition[];
}

export interface Partition {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}

export interface PublicationFacts {
  readonly publishesInserts: boolean;
  readonly isViaRoot: boolean;
  readonly isForAllTables: boolean;
  /** Whether the table's rows are sent, and under its own OID. */
  readonly coversTable: boolean;
  /** The published table that is its ancestor and under whose OID its rows are sent instead. */
  readonly sentAs: string | null;
  readonly rowFilter: string | null;
  /** The columns that are published; all when there is no column list. */
  readonly publishedColumns: readonly string[] | null;
  /**
   * Changes whenever somebody alters the publication, the table's membership in it, or swaps the table: OIDs and
   * row versions. Rows that were inserted between two identities may never have been published.
   */
  readonly identity: string;
  /**
   * Transactions that have altered what `identity` names and that this look does not see yet. Their commit may be in
   * the WAL already, and decoded: it becomes visible only after a synchronous standby has answered.
   */
  readonly alterations: readonly Alteration[];
  /** `walrelay` notes here the position at which it created the slot (see init). */
  readonly comment: string | null;
  /** When the publication doesn't name the table: the first that it does name. A renamed table is one of them. */
  readonly otherTables: readonly PublishedTable[];
  /** Where rows are sent under the names of partitions: all that it names, to tell other tables from former partitions. */
  readonly memberOids: readonly number[];
}

export interface Alteration {
  readonly xid: string;
  /** 'in progress' or 'committed', as pg_xact_status says. */
  readonly status: string;
}

export interface PublishedTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly string[];
}

export interface SlotFacts {
  readonly plugin: string;
  readonly slotType: string;
  readonly database: string;
  readonly isTemporary: boolean;
  readonly isActive: boolean;
  readonly holder: string | null;
  readonly restartLsn: Lsn | null;
  readonly confirmedLsn: Lsn | null;
  /** reserved, extended, unreserved or lost. */
  readonly walStatus: string | null;
  readonly invalidationReason: string | null;
  /** How much WAL may still be written before the slot is lost; null when there is no limit. */
  readonly safeWalBytes: number | null;
  readonly retainedBytes: number | null;
  readonly isTwoPhase: boolean;
  /** Whether standbys keep a copy of it; null before version 17. */
  readonly isFailover: boolean | null;
  /** Whether it is a standby's copy of its primary's slot; null before version 17. */
  readonly isSynced: boolean | null;
}

export interface CatalogNames {
  readonly publication: string;
  readonly slot: string;
  /** None where all outboxes are of messages. */
  readonly tables: readonly NamedTable[];
  /** Of the outboxes without a table. */
  readonly messagePrefixes?: readonly string[];
}

export interface NamedTable {
  readonly table: QualifiedName;
  /** Asks for this table, whatever it is called by now: the one that the relay has been reading. */
  readonly tableOid?: number;
}

export const WAL_END_SQL =
  'CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END';

/** One statement, so that all facts are of one moment. Of several tables, each with its place in the publication. */
export function catalogSql(names: CatalogNames, versionNumber: number): string {
  const [first, ...others] = names.tables.map((table) =>
    tableCatalogSql({ ...names, ...table }, versionNumber),
  );
  // Server, publication and slot are asked for with a table; without any, with one that there can't be.
  if (first === undefined)
    return tableCatalogSql({ ...names, table: { schema: '', name: '' } }, versionNumber);
  if (others.length === 0) return first;
  const parts = [first, ...others].map((sql) => `(${sql})::json`);
  return `SELECT json_build_object('tables', json_build_array(${parts.join(', ')}))::text AS catalog`;
}

/**
 * The facts of one table, and of server and slot. Columns that not every version has are reached through
 * to_jsonb, which leaves them null. pg_publication_tables is not asked: it opens every table of the publication, and
 * so waits behind whoever has locked one of them.
 */
function tableCatalogSql(names: Omit<CatalogNames, 'tables'> & NamedTable, versionNumber: number): string {
  const schema = quoteLiteral(names.table.schema);
  const name = quoteLiteral(names.table.name);
  const hasSchemas = versionNumber >= 150_000;
  const hasName = `n.nspname = ${schema} AND c.relname = ${name}`;
  const isTable = names.tableOid === undefined ? hasName : `c.oid = ${names.tableOid}`;
  return `
WITH RECURSIVE t AS (
  SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relpersistence, n.nspname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${isTable}
), ancestor AS (
  SELECT i.inhparent AS oid FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition JOIN t ON t.oid = c.oid
  UNION SELECT i.inhparent FROM ancestor a JOIN pg_class c ON c.oid = a.oid AND c.relispartition JOIN pg_inherits i ON i.inhrelid = c.oid
), partition AS (
  SELECT i.inhrelid AS oid FROM t JOIN pg_inherits i ON i.inhparent = t.oid WHERE t.relkind = 'p'
  UNION SELECT i.inhrelid FROM partition x JOIN pg_inherits i ON i.inhparent = x.oid
), p AS (
  SELECT p.*, p.xmin AS version, p.xmax AS altered FROM pg_publication p WHERE p.pubname = ${quoteLiteral(names.publication)}
), member AS (
  SELECT pr.oid, pr.prrelid, pr.xmin AS version, pr.xmax AS altered, ${hasSchemas ? 'pr.prattrs, pr.prqual' : 'NULL::int2[] AS prattrs, NULL AS prqual'}
  FROM pg_publication_rel pr JOIN p ON p.oid = pr.prpubid
  WHERE pr.prrelid IN (SELECT oid FROM t UNION ALL SELECT oid FROM ancestor)
), schema_member AS (
  ${
    hasSchemas
      ? `SELECT pn.oid, pn.pnnspid AS namespace, pn.xmin AS version, pn.xmax AS altered FROM pg_publication_namespace pn JOIN p ON p.oid = pn.pnpubid
  WHERE pn.pnnspid IN (SELECT relnamespace FROM t UNION ALL SELECT c.relnamespace FROM ancestor a JOIN pg_class c USING (oid))`
      : "SELECT NULL::oid AS oid, NULL::oid AS namespace, NULL::xid AS version, '0'::xid AS altered WHERE false"
  }
), published_ancestor AS (
  SELECT a.oid, n.nspname, c.relname FROM ancestor a JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE a.oid IN (SELECT prrelid FROM member) OR c.relnamespace IN (SELECT namespace FROM schema_member) OR (SELECT puballtables FROM p)
), snapshot AS (
  SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next
), alteration AS (
  -- A row version that this statement sees and that somebody has replaced or deleted: with the epoch, its xid.
  SELECT altered, next, next - next % 4294967296 + altered::text::bigint AS xid FROM snapshot, (
    SELECT altered FROM p UNION ALL SELECT altered FROM member UNION ALL SELECT altered FROM schema_member
  ) versions WHERE altered::text <> '0'
), full_alteration AS (
  SELECT altered, next, CASE WHEN xid > next + 2147483648 THEN xid - 4294967296
    WHEN xid < next - 2147483648 THEN xid + 4294967296 ELSE xid END AS xid FROM alteration
), open_alteration AS (
  SELECT DISTINCT altered::text AS xid,
    CASE WHEN xid >= next THEN 'in progress' WHEN xid > 0 THEN pg_xact_status(xid::text::xid8) END AS status FROM full_alteration
), wal AS (
  SELECT ${WAL_END_SQL} AS lsn
)
SELECT json_build_object(
  'server', (SELECT json_build_object(
    'versionNumber', current_setting('server_version_num')::int,
    'version', current_setting('server_version'),
    'database', current_database(),
    'user', current_user,
    'canReplicate', (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user)
      -- Amazon RDS grants the right by membership.
      OR EXISTS (SELECT 1 FROM pg_roles r WHERE r.rolname = 'rds_replication' AND pg_has_role(r.oid, 'MEMBER')),
    'walLevel', current_setting('wal_level'),
    'clientEncoding', current_setting('client_encoding'),
    'serverEncoding', getdatabaseencoding(),
    'isInRecovery', pg_is_in_recovery(),
    'walEnd', wal.lsn::text,
    'walSenderTimeoutMs', (SELECT setting::int FROM pg_settings WHERE name = 'wal_sender_timeout'),
    'synchronousStandbyNames', current_setting('synchronous_standby_names'),
    'idleSlotTimeoutS', coalesce((SELECT setting::bigint FROM pg_settings WHERE name = 'idle_replication_slot_timeout'), 0),
    'physicalSlots', coalesce((SELECT json_agg(slot_name ORDER BY slot_name) FROM pg_replication_slots
      WHERE slot_type = 'physical' AND NOT temporary), '[]'),
    'synchronizedStandbySlots', current_setting('synchronized_standby_slots', true),
    'canAllEmit', ${(names.messagePrefixes ?? []).length === 0 ? 'NULL' : CAN_ALL_EMIT_SQL}
  ) FROM wal),
  'table', (SELECT json_build_object(
    'oid', t.oid::bigint, 'schema', t.nspname, 'name', t.relname,
    'kind', t.relkind, 'persistence', t.relpersistence,
    'columns', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
                WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'unloggedPartitions', (SELECT coalesce(json_agg(c.oid::regclass::text ORDER BY c.oid), '[]')
                           FROM partition JOIN pg_class c USING (oid) WHERE c.relkind = 'f' OR c.relpersistence <> 'p'),
    'partitions', (SELECT coalesce(json_agg(json_build_object('oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname)), '[]')
                   FROM partition JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE c.relkind = 'r' AND NOT (SELECT pubviaroot FROM p))
  ) FROM t),
  'namedTableOid', (SELECT c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE ${hasName}),
  'publication', (SELECT json_build_object(
    'publishesInserts', p.pubinsert, 'isViaRoot', p.pubviaroot, 'isForAllTables', p.puballtables,
    'coversTable', t.oid IS NOT NULL AND (p.puballtables OR pr.oid IS NOT NULL OR EXISTS (SELECT 1 FROM published_ancestor)
      OR EXISTS (SELECT 1 FROM schema_member WHERE namespace = t.relnamespace))
      AND NOT (p.pubviaroot AND EXISTS (SELECT 1 FROM published_ancestor)),
    'sentAs', (SELECT a.nspname || '.' || a.relname FROM published_ancestor a WHERE p.pubviaroot LIMIT 1),
    'rowFilter', pg_get_expr(${hasSchemas ? 'pr.prqual, pr.prrelid' : 'NULL, NULL'}),
    'publishedColumns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                         WHERE a.attrelid = pr.prrelid AND a.attnum = ANY (pr.prattrs)),
    'identity', concat_ws(' ', 'publication', p.oid || ':' || p.version, 'table', t.oid,
      'member', pr.oid || ':' || pr.version,
      'schema', (SELECT string_agg(oid || ':' || version, ',') FROM schema_member WHERE namespace = t.relnamespace),
      'ancestor ' || (SELECT string_agg(oid || ':' || version, ',' ORDER BY oid) FROM member WHERE prrelid <> t.oid)),
    'alterations', (SELECT coalesce(json_agg(a), '[]') FROM open_alteration a WHERE a.status <> 'aborted'),
    'comment', obj_description(p.oid, 'pg_publication'),
    'otherTables', coalesce((SELECT json_agg(json_build_object('schema', n.nspname, 'name', c.relname, 'columns',
        (SELECT coalesce(json_agg(a.attname), '[]') FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)))
      FROM (SELECT prrelid FROM pg_publication_rel WHERE prpubid = p.oid AND pr.oid IS NULL ORDER BY prrelid LIMIT ${OTHER_TABLES_MAX}) other
      JOIN pg_class c ON c.oid = other.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace), '[]'),
    'memberOids', coalesce((SELECT json_agg(prrelid::bigint) FROM pg_publication_rel
      WHERE prpubid = p.oid AND t.relkind = 'p' AND NOT p.pubviaroot), '[]')
  ) FROM p LEFT JOIN t ON true LEFT JOIN member pr ON pr.prrelid = t.oid),
  'slot', (SELECT json_build_object(
    'plugin', s.plugin, 'slotType', s.slot_type, 'database', s.database, 'isTemporary', s.temporary,
    'isActive', s.active,
    'holder', CASE WHEN s.active THEN concat_ws(' ', 'pid', s.active_pid,
      (SELECT concat_ws(' ', a.application_name, host(a.client_addr)) FROM pg_stat_activity a WHERE a.pid = s.active_pid)) END,
    'restartLsn', s.restart_lsn::text, 'confirmedLsn', s.confirmed_flush_lsn::text,
    'walStatus', s.wal_status,
    'invalidationReason', coalesce(to_jsonb(s) ->> 'invalidation_reason',
      CASE WHEN to_jsonb(s) ->> 'conflicting' = 'true' THEN 'conflict' END),
    'safeWalBytes', s.safe_wal_size::text,
    'retainedBytes', (wal.lsn - s.restart_lsn)::text,
    'isTwoPhase', s.two_phase,
    'isFailover', to_jsonb(s) -> 'failover',
    'isSynced', to_jsonb(s) -> 'synced'
  ) FROM pg_replication_slots s, wal WHERE s.slot_name = ${quoteLiteral(names.slot)})
)::text AS catalog`;
}

/** Its signatures differ from version to version. */
const CAN_ALL_EMIT_SQL = `(SELECT bool_or(has_function_privilege('public', f.oid, 'EXECUTE')) FROM pg_proc f
      WHERE f.proname = 'pg_logical_emit_message' AND f.pronamespace = 'pg_catalog'::regnamespace)`;

/** A publication may cover thousands; the renamed one of a relay's own publication is among the first. */
const OTHER_TABLES_MAX = 10;

/** Reads the answer of `catalogSql`. */
export function parseCatalog(text: string, names: CatalogNames): Catalog {
  const answer = JSON.parse(text) as RawCatalog | { readonly tables: readonly RawCatalog[] };
  const raws = 'tables' in answer ? answer.tables : [answer];
  const [raw] = raws as [RawCatalog, ...RawCatalog[]];
  const { walEnd, ...server } = raw.server;
  const slot = raw.slot;
  const isOutbox = (other: QualifiedName) =>
    names.tables.some(({ table }) => table.schema === other.schema && table.name === other.name);
  return {
    server: { ...server, walEndLsn: parseLsn(walEnd) },
    tables: raws.slice(0, names.tables.length).map(({ table, namedTableOid, publication }) => ({
      table,
      namedTableOid,
      publication:
        publication === null
          ? null
          : { ...publication, otherTables: publication.otherTables.filter((other) => !isOutbox(other)) },
    })),
    publication: withMessages(combine(raws), names),
    slot:
      slot === null
        ? null
        : {
            ...slot,
            restartLsn: slot.restartLsn === null ? null : parseLsn(slot.restartLsn),
            confirmedLsn: slot.confirmedLsn === null ? null : parseLsn(slot.confirmedLsn),
            safeWalBytes: slot.safeWalBytes === null ? null : Number(slot.safeWalBytes),
            retainedBytes: slot.retainedBytes === null ? null : Number(slot.retainedBytes),
          },
  };
}

/** The publication once, with an identity of all tables: in the order of their OIDs, whatever that of the settings is. */
function combine(raws: readonly RawCatalog[]): PublicationFacts | null {
  const [first] = raws;
  if (first === undefined || first.publication === null || raws.length === 1)
    return first?.publication ?? null;
  const { identity } = first.publication;
  const tableAt = identity.indexOf(' table ');
  const parts = raws
    .toSorted((a, b) => (a.table?.oid ?? 0) - (b.table?.oid ?? 0))
    .map(({ publication }) => publication?.identity ?? '')
    .map((text) => (text.includes(' table ') ? text.slice(text.indexOf(' table ')) : ''));
  const alterations = raws.flatMap(({ publication }) => publication?.alterations ?? []);
  return {
    ...first.publication,
    identity: (tableAt === -1 ? identity : identity.slice(0, tableAt)) + parts.join(''),
    alterations: alterations.filter(
      ({ xid }, place) => alterations.findIndex((other) => other.xid === xid) === place,
    ),
  };
}

/**
 * Which messages are events is part of what the identity stands for, as which tables are: those of a prefix that was added
 * later were passed over before.
 */
function withMessages(
  publication: PublicationFacts | null,
  { tables, messagePrefixes = [] }: CatalogNames,
): PublicationFacts | null {
  if (publication === null || messagePrefixes.length === 0) return publication;
  const { identity } = publication;
  const tableAt = tables.length === 0 ? identity.indexOf(' table') : -1;
  const messages = messagePrefixes.toSorted().join(',');
  return {
    ...publication,
    identity: `${tableAt === -1 ? identity : identity.slice(0, tableAt)} messages ${messages}`,
  };
}

interface RawCatalog {
  readonly server: Omit<ServerFacts, 'walEndLsn'> & { readonly walEnd: string };
  readonly table: TableFacts | null;
  readonly namedTableOid: number | null;
  readonly publication: PublicationFacts | null;
  readonly slot:
    | (Omit<SlotFacts, 'restartLsn' | 'confirmedLsn' | 'safeWalBytes' | 'retainedBytes'> & {
        readonly restartLsn: string | null;
        readonly confirmedLsn: string | null;
        readonly safeWalBytes: string | null;
        readonly retainedBytes: string | null;
      })
    | null;
}
