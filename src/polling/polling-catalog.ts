import { type QualifiedName, quoteLiteral } from '../source/sql.ts';

/** What the catalog says about everything that polling depends on, read by one query. */
export interface PollingCatalog {
  readonly server: {
    /** As server_version_num: 170010 is 17.10. */
    readonly versionNumber: number;
    readonly version: string;
    readonly user: string;
    readonly clientEncoding: string;
    readonly serverEncoding: string;
    readonly isInRecovery: boolean;
    /** A slot of the name that `walrelay run` would use is there: both would publish every event. */
    readonly hasSlot: boolean;
  };
  readonly table: PolledTableFacts | null;
}

export interface PolledTableFacts {
  readonly kind: string;
  readonly persistence: string;
  readonly columns: readonly PolledColumnFacts[];
  readonly indexes: readonly IndexFacts[];
  /** Whether any trigger of a user's fires on an insert. */
  readonly hasInsertTrigger: boolean;
  readonly canUseSchema: boolean;
  readonly canSelect: boolean;
  /** On one column at least: what FOR UPDATE asks for. */
  readonly canLock: boolean;
  readonly canDelete: boolean;
}

export interface PolledColumnFacts {
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  readonly hasDefault: boolean;
  readonly canUpdate: boolean;
}

export interface IndexFacts {
  readonly name: string;
  /** Null where it begins with an expression. */
  readonly firstColumn: string | null;
  readonly columnCount: number;
  readonly isUnique: boolean;
  readonly isDescending: boolean;
  /** As Postgres prints it; null for an index of all rows. */
  readonly predicate: string | null;
}

/** One statement, so that all facts are of one moment. Only btree indexes that are ready for use. */
export function pollingCatalogSql(table: QualifiedName, slot: string): string {
  return `
WITH t AS (
  SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ${quoteLiteral(table.schema)} AND c.relname = ${quoteLiteral(table.name)}
)
SELECT json_build_object(
  'server', json_build_object(
    'versionNumber', current_setting('server_version_num')::int,
    'version', current_setting('server_version'),
    'user', current_user,
    'clientEncoding', current_setting('client_encoding'),
    'serverEncoding', getdatabaseencoding(),
    'isInRecovery', pg_is_in_recovery(),
    'hasSlot', EXISTS (SELECT FROM pg_replication_slots s
      WHERE s.slot_name = ${quoteLiteral(slot)} AND s.database = current_database())),
  'table', (SELECT json_build_object(
    'kind', t.relkind, 'persistence', t.relpersistence,
    'canUseSchema', has_schema_privilege(t.relnamespace, 'USAGE'),
    'canSelect', has_table_privilege(t.oid, 'SELECT'),
    'canLock', has_any_column_privilege(t.oid, 'UPDATE'),
    'canDelete', has_table_privilege(t.oid, 'DELETE'),
    -- 4: on INSERT, of the bits of pg_trigger.tgtype.
    'hasInsertTrigger', EXISTS (SELECT FROM pg_trigger g
      WHERE g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 4 <> 0),
    'columns', (SELECT json_agg(json_build_object(
        'name', a.attname, 'type', format_type(a.atttypid, NULL), 'isRequired', a.attnotnull,
        'hasDefault', a.atthasdef, 'canUpdate', has_column_privilege(t.oid, a.attnum, 'UPDATE')) ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'indexes', (SELECT coalesce(json_agg(json_build_object(
        'name', i.indexrelid::regclass::text,
        'firstColumn', (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum = i.indkey[0] AND a.attnum > 0),
        'columnCount', i.indnkeyatts, 'isUnique', i.indisunique,
        'isDescending', i.indoption[0] & 1 = 1,
        'predicate', pg_get_expr(i.indpred, i.indrelid))), '[]')
      FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
      WHERE i.indrelid = t.oid AND i.indisvalid AND am.amname = 'btree')
  ) FROM t)
)::text AS catalog`;
}

export function parsePollingCatalog(text: string): PollingCatalog {
  return JSON.parse(text) as PollingCatalog;
}
