import { type Lsn, parseLsn } from '../core/lsn.ts';
import { type QualifiedName, quoteLiteral } from './sql.ts';

/** What the catalog says about everything the relay depends on, read by one query. */
export interface Catalog {
  readonly server: ServerFacts;
  readonly table: TableFacts | null;
  readonly publication: PublicationFacts | null;
  readonly slot: SlotFacts | null;
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
}

export interface TableFacts {
  readonly oid: number;
  readonly kind: string;
  readonly persistence: string;
  readonly columns: readonly string[];
}

export interface PublicationFacts {
  readonly publishesInserts: boolean;
  readonly isViaRoot: boolean;
  readonly isForAllTables: boolean;
  /** Whether the table is among pg_publication_tables, under its own name. */
  readonly coversTable: boolean;
  readonly rowFilter: string | null;
  /** The columns that are published; all when there is no column list. */
  readonly publishedColumns: readonly string[] | null;
  /**
   * Changes whenever somebody alters the publication, the table's membership in it, or swaps the table: OIDs and
   * row versions. Rows that were inserted between two identities may never have been published.
   */
  readonly identity: string;
  /** `walrelay` notes here the position at which it created the slot (see init). */
  readonly comment: string | null;
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
}

export interface CatalogNames {
  readonly table: QualifiedName;
  readonly publication: string;
  readonly slot: string;
}

export const WAL_END_SQL =
  'CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END';

/**
 * One statement, so that all facts are of one moment. Columns that not every version has are reached through
 * to_jsonb, which leaves them null.
 */
export function catalogSql(names: CatalogNames, versionNumber: number): string {
  const publication = quoteLiteral(names.publication);
  const schemaMembership =
    versionNumber >= 150_000
      ? `(SELECT string_agg(pn.oid || ':' || pn.xmin, ',') FROM pg_publication_namespace pn
          WHERE pn.pnpubid = p.oid AND pn.pnnspid = t.relnamespace)`
      : 'NULL';
  return `
WITH t AS (
  SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ${quoteLiteral(names.table.schema)} AND c.relname = ${quoteLiteral(names.table.name)}
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
    'idleSlotTimeoutS', coalesce((SELECT setting::bigint FROM pg_settings WHERE name = 'idle_replication_slot_timeout'), 0)
  ) FROM wal),
  'table', (SELECT json_build_object(
    'oid', t.oid::bigint, 'kind', t.relkind, 'persistence', t.relpersistence,
    'columns', (SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped)
  ) FROM t),
  'publication', (SELECT json_build_object(
    'publishesInserts', p.pubinsert, 'isViaRoot', p.pubviaroot, 'isForAllTables', p.puballtables,
    'coversTable', pt.tablename IS NOT NULL,
    'rowFilter', to_jsonb(pt) ->> 'rowfilter',
    'publishedColumns', to_jsonb(pt) -> 'attnames',
    'identity', concat_ws(' ', 'publication', p.oid || ':' || p.xmin, 'table', t.oid,
      'member', pr.oid || ':' || pr.xmin, 'schema', ${schemaMembership}),
    'comment', obj_description(p.oid, 'pg_publication')
  ) FROM pg_publication p
    LEFT JOIN t ON true
    LEFT JOIN pg_publication_rel pr ON pr.prpubid = p.oid AND pr.prrelid = t.oid
    LEFT JOIN pg_publication_tables pt ON pt.pubname = p.pubname
      AND pt.schemaname = ${quoteLiteral(names.table.schema)} AND pt.tablename = ${quoteLiteral(names.table.name)}
    WHERE p.pubname = ${publication}),
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
    'isTwoPhase', s.two_phase
  ) FROM pg_replication_slots s, wal WHERE s.slot_name = ${quoteLiteral(names.slot)})
)::text AS catalog`;
}

/** Reads the answer of `catalogSql`. */
export function parseCatalog(text: string): Catalog {
  const raw = JSON.parse(text) as RawCatalog;
  const { walEnd, ...server } = raw.server;
  const slot = raw.slot;
  return {
    server: { ...server, walEndLsn: parseLsn(walEnd) },
    table: raw.table,
    publication: raw.publication,
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

interface RawCatalog {
  readonly server: Omit<ServerFacts, 'walEndLsn'> & { readonly walEnd: string };
  readonly table: TableFacts | null;
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
