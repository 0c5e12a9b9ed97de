/** What the catalog says of a table that may be an outbox. */
export interface SurveyedTable {
  readonly schema: string;
  readonly name: string;
  /** As pg_class has it: r, an ordinary table · p, partitioned · f, a foreign table. */
  readonly kind: string;
  readonly isUnlogged: boolean;
  readonly hasRowSecurity: boolean;
  readonly canSelect: boolean;
  /** By the planner's statistics; null: it has none yet. */
  readonly rowEstimate: number | null;
  readonly columns: readonly SurveyedColumn[];
  /** Of the primary key, in its order; empty where there is none. */
  readonly primaryKey: readonly string[];
  /** Columns that are unique by themselves. */
  readonly uniqueColumns: readonly string[];
}

export interface SurveyedColumn {
  readonly name: string;
  /** As `format_type` calls it, of a domain the type beneath. */
  readonly type: string;
  /** As it is declared, without length and precision: of a domain its name. */
  readonly declaredType: string;
  readonly isNotNull: boolean;
  readonly isGenerated: boolean;
  /** The expression; null: there is none. */
  readonly default: string | null;
}

/** All tables but those of the system, and partitions: their roots stand for them. One row and column: JSON. */
export const TABLE_SURVEY_SQL = `
SELECT coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'name', c.relname, 'kind', c.relkind,
  'isUnlogged', c.relpersistence <> 'p',
  'hasRowSecurity', row_security_active(c.oid),
  'canSelect', has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
  'rowEstimate', CASE WHEN c.relkind = 'p'
    THEN (SELECT sum(greatest(l.reltuples, 0)) FROM pg_partition_tree(c.oid) JOIN pg_class l ON l.oid = relid WHERE isleaf)
    ELSE nullif(c.reltuples, -1) END::bigint,
  'columns', (SELECT coalesce(json_agg(json_build_object(
      'name', a.attname,
      'type', format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE a.atttypid END,
        CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END),
      'declaredType', format_type(a.atttypid, NULL),
      'isNotNull', a.attnotnull, 'isGenerated', a.attgenerated <> '',
      'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'primaryKey', coalesce((SELECT json_agg(a.attname ORDER BY k.place)
    FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
    JOIN pg_attribute a ON a.attnum = k.attnum
    WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND k.place <= i.indnkeyatts), '[]'),
  'uniqueColumns', coalesce((SELECT json_agg(DISTINCT a.attname)
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indnkeyatts = 1), '[]')
) ORDER BY n.nspname, c.relname), '[]')::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'`;
