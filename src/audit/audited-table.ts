import { requireTable, type TableOutbox } from '../config/outbox-source.ts';
import type { OutboxSettings } from '../config/settings.ts';
import { nameSetting } from '../core/name-setting.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { compileOutbox, type Outbox, requireIds } from '../route/outbox.ts';
import type { ReservedNames } from '../route/stream-router.ts';
import { type RowValues, rowValues } from '../source/row-values.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from '../source/sql.ts';
import type { ReadingConnection } from './reading-connection.ts';

/** The outbox table as the audit reads it. */
export interface AuditedTable {
  /** Quoted and qualified. */
  readonly name: string;
  readonly outbox: Outbox;
  /** How its columns are read. */
  readonly values: RowValues;
  readonly isBytea: (column: string) => boolean;
  /** Null: the table has no time, or none was named. */
  readonly timeColumn: string | null;
  readonly timeType: string;
  /** Of each column of the id. */
  readonly idTypes: readonly string[];
  /** A btree index begins with the time column: a range is read without reading the table. */
  readonly hasTimeIndex: boolean;
  /** Of the largest partition. */
  readonly pageCount: number;
  /** By the planner's statistics. */
  readonly rowEstimate: number;
  /** The database says nothing about its bytes (SQL_ASCII). */
  readonly isRaw: boolean;
}

/** Throws what keeps the table from being read, with the statement that mends it. */
export async function readAuditedTable(
  connection: ReadingConnection,
  outboxSettings: OutboxSettings,
  reserved: ReservedNames,
  { needsTime, findsEntries = true }: { readonly needsTime: boolean; readonly findsEntries?: boolean } = {
    needsTime: true,
  },
): Promise<AuditedTable> {
  const settings = requireTable(outboxSettings, 'the events are read from the table');
  let timeColumn = settings.columnTime;
  const outbox = compileOutbox(settings, reserved);
  if (findsEntries) requireIds(outbox);
  const name = quoteQualified(settings.table);
  const text = await connection.text(factsSql(settings, timeColumn));
  const facts = JSON.parse(text ?? 'null') as TableFacts | null;
  if (facts === null) throw new WalrelayError('TABLE_MISSING', `the table ${name} does not exist`);
  if (!facts.canUseSchema || !facts.canSelect) {
    throw new WalrelayError('PG_PRIVILEGE', `the role ${facts.user} may not read the table ${name}`, {
      hint: [
        ...(facts.canUseSchema
          ? []
          : [
              `GRANT USAGE ON SCHEMA ${quoteIdentifier(settings.table.schema)} TO ${quoteIdentifier(facts.user)};`,
            ]),
        `GRANT SELECT ON ${name} TO ${quoteIdentifier(facts.user)};`,
      ].join(' '),
    });
  }
  const types = new Map(facts.columns.map((column) => [column.name, column.type]));
  const missing = outbox.columns.filter((column) => !types.has(column));
  if (missing.length > 0) {
    throw new WalrelayError('COLUMN_MISSING', `the table ${name} has no column ${missing.join(', ')}`);
  }
  if (timeColumn !== null && !needsTime && !types.has(timeColumn)) timeColumn = null;
  const timeType = timeColumn === null ? '' : (types.get(timeColumn) ?? '');
  if (timeColumn !== null && !TIME_TYPES.includes(timeType))
    throw timeless(name, timeColumn, timeType, nameSetting(settings, 'columnTime'));
  const isRaw = facts.serverEncoding === 'SQL_ASCII';
  const isBytea = (column: string) => types.get(column) === 'bytea';
  return {
    name,
    outbox,
    values: rowValues(outbox, { isRaw, typeOf: (column) => types.get(column) }),
    isBytea,
    timeColumn,
    timeType,
    idTypes: settings.columnId.map((column) => types.get(column) ?? 'text'),
    hasTimeIndex: facts.hasTimeIndex,
    pageCount: Number(facts.pageCount),
    rowEstimate: Math.max(0, Number(facts.rowEstimate)),
    isRaw,
  };
}

const TIME_TYPES: readonly string[] = ['timestamp with time zone', 'timestamp without time zone', 'date'];

function timeless(name: string, column: string, type: string, setting: string): WalrelayError {
  return type === ''
    ? new WalrelayError('COLUMN_MISSING', `the table ${name} has no column ${column}`, {
        hint: `Name the column that says when a row was inserted: ${setting}, or --column-time; if there is none, none.`,
      })
    : new WalrelayError('COLUMN_UNSUITABLE', `the column ${column} of ${name} is no time but ${type}`, {
        hint: `Name a column of the type timestamptz, filled by Postgres (DEFAULT now()): ${setting}, or --column-time.`,
      });
}

interface TableFacts {
  readonly user: string;
  readonly serverEncoding: string;
  readonly canUseSchema: boolean;
  readonly canSelect: boolean;
  readonly pageCount: number | string;
  readonly rowEstimate: number | string;
  readonly hasTimeIndex: boolean;
  readonly columns: readonly { readonly name: string; readonly type: string }[];
}

/** Of a partitioned table: the pages of its largest partition (all are read side by side), the rows of all. */
function factsSql({ table }: TableOutbox, timeColumn: string | null): string {
  return `
WITH t AS (
  SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ${quoteLiteral(table.schema)} AND c.relname = ${quoteLiteral(table.name)}
), part AS (
  SELECT c.oid, c.reltuples FROM t, pg_partition_tree(t.oid) p JOIN pg_class c ON c.oid = p.relid WHERE p.isleaf
  UNION SELECT oid, reltuples FROM t
)
SELECT json_build_object(
  'user', current_user, 'serverEncoding', getdatabaseencoding(),
  'canUseSchema', has_schema_privilege(t.relnamespace, 'USAGE'),
  'canSelect', has_table_privilege(t.oid, 'SELECT'),
  'pageCount', (SELECT max(pg_relation_size(oid)) / current_setting('block_size')::int FROM part),
  'rowEstimate', (SELECT sum(greatest(reltuples, 0))::bigint FROM part),
  'hasTimeIndex', EXISTS (SELECT FROM pg_index i
    JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = t.oid AND i.indisvalid AND i.indpred IS NULL AND am.amname = 'btree'
      AND a.attname = ${quoteLiteral(timeColumn ?? '')}),
  'columns', (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, NULL)))
    FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped)
)::text FROM t`;
}
