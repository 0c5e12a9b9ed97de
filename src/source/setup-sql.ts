import { formatLsn, type Lsn } from '../core/lsn.ts';
import type { CatalogNames, ServerFacts } from './catalog.ts';
import { type QualifiedName, quoteIdentifier, quoteLiteral, quoteQualified } from './sql.ts';

/** The statements that set a database up: what `init` runs and `init --print-sql` prints. */

/** What the columns of a new table are called. */
export interface TableColumns {
  readonly id: string;
  /** Null: it is to have no such column. */
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  readonly type: string | null;
  readonly payload: string | null;
  /** More that the stream's name is made of. */
  readonly others: readonly string[];
  /** More that stand in the entries, where they are not NULL. */
  readonly headers: readonly string[];
}

export function createTableSql(table: QualifiedName, columns: TableColumns): string {
  const schema =
    table.schema === 'public' ? '' : `CREATE SCHEMA IF NOT EXISTS ${quoteIdentifier(table.schema)};\n`;
  const { id, aggregateType, aggregateId, type, payload, others, headers } = columns;
  // A column that serves two purposes is made once, as the first of them wants it.
  const definitions = new Map<string, string>();
  const define = (name: string | null, definition: string) => {
    if (name !== null && !definitions.has(name))
      definitions.set(name, `${plainOrQuoted(name)} ${definition}`);
  };
  define(id, 'uuid PRIMARY KEY DEFAULT gen_random_uuid()');
  for (const name of [aggregateType, aggregateId, type, ...others]) define(name, 'text NOT NULL');
  define(payload, 'jsonb NOT NULL');
  for (const name of headers) define(name, 'text');
  if (!definitions.has('created_at'))
    definitions.set('created_at', 'created_at timestamptz NOT NULL DEFAULT now()');
  return `${schema}CREATE TABLE IF NOT EXISTS ${quoteQualified(table)} (\n  ${[...definitions.values()].join(',\n  ')}\n);`;
}

/** The usual names read better without quotes; any other may be a reserved word. */
function plainOrQuoted(column: string): string {
  const usual = ['id', 'aggregatetype', 'aggregateid', 'type', 'payload'];
  return usual.includes(column) ? column : quoteIdentifier(column);
}

/**
 * Inserts only: what is deleted or updated later is none of the relay's business, and costs nothing to decode. Messages need
 * a publication to be named, and none of its tables.
 */
export function createPublicationSql(names: CatalogNames): string {
  const tables = names.tables.map(({ table }) => quoteQualified(table)).join(', ');
  return (
    `CREATE PUBLICATION ${quoteIdentifier(names.publication)} ${tables === '' ? '' : `FOR TABLE ${tables} `}` +
    "WITH (publish = 'insert', publish_via_partition_root = true);"
  );
}

/** Whether the server keeps copies of a slot on its standbys, so that a promotion does not lose it. */
export function offersFailover(server: Pick<ServerFacts, 'versionNumber' | 'isInRecovery'>): boolean {
  // A slot that is made on a standby can't be copied to others.
  return server.versionNumber >= 170_000 && !server.isInRecovery;
}

export function createSlotSql(names: Pick<CatalogNames, 'slot'>, { isFailover = false } = {}): string {
  const failover = isFailover ? ', failover => true' : '';
  return `SELECT lsn FROM pg_create_logical_replication_slot(${quoteLiteral(names.slot)}, 'pgoutput'${failover});`;
}

/** The same for whatever server it is given to: only from version 17 on there is `failover`. */
function createSlotAnywhereSql(names: CatalogNames): string {
  const plain = quoteLiteral(createSlotSql(names).replace(/;$/, ''));
  const failover = quoteLiteral(createSlotSql(names, { isFailover: true }).replace(/;$/, ''));
  return `DO $$ BEGIN EXECUTE CASE WHEN current_setting('server_version_num')::int < 170000
  THEN ${plain}
  ELSE ${failover} END; END $$;`;
}

/**
 * For a replication connection: creates the slot and exports the snapshot of its consistent point. Every transaction
 * that the snapshot sees committed before that point; every other one comes through the slot. The snapshot lives until
 * the connection runs its next command.
 */
export function createExportedSlotSql(
  { slot }: Pick<CatalogNames, 'slot'>,
  options: {
    readonly versionNumber: number;
    readonly isFailover: boolean;
    /** It goes with the connection. */
    readonly isTemporary?: boolean;
  },
): string {
  const { versionNumber, isFailover, isTemporary = false } = options;
  const create = `CREATE_REPLICATION_SLOT ${quoteIdentifier(slot)}${isTemporary ? ' TEMPORARY' : ''} LOGICAL pgoutput`;
  if (versionNumber < 150_000) return `${create} EXPORT_SNAPSHOT`;
  return `${create} (SNAPSHOT 'export'${isFailover ? ', FAILOVER' : ''})`;
}

/**
 * Where the slot was created, kept as the publication's comment: it proves, until something is confirmed, that a
 * missing lane state in Redis means a fresh start and not a loss. `hasSnapshot`: a fresh start that begins with publishing
 * the rows that were there.
 */
export function freshSlotComment(slot: string, consistentLsn: Lsn, hasSnapshot = false): string {
  const kind = hasSnapshot ? 'slot with a snapshot' : 'slot';
  return `walrelay: ${kind} ${slot} created at ${formatLsn(consistentLsn)}`;
}

export function noteSlotSql(names: CatalogNames, hasSnapshot = false): string {
  const prefix = quoteLiteral(freshSlotComment(names.slot, 0n as Lsn, hasSnapshot).replace(/0\/0$/, ''));
  return `DO $$ BEGIN EXECUTE (
  SELECT format('COMMENT ON PUBLICATION %I IS %L', ${quoteLiteral(names.publication)}, ${prefix} || confirmed_flush_lsn)
  FROM pg_replication_slots WHERE slot_name = ${quoteLiteral(names.slot)}
); END $$;`;
}

/** Two inits take turns, or one would find what the other has only half made. Held until the connection ends. */
export function initLockSql(names: CatalogNames): string {
  return `SELECT pg_advisory_lock(hashtext('walrelay init'), hashtext(${quoteLiteral(names.publication)}))`;
}

export function initUnlockSql(names: CatalogNames): string {
  return `SELECT pg_advisory_unlock(hashtext('walrelay init'), hashtext(${quoteLiteral(names.publication)}))`;
}

/** Everything that a DBA would run, in order, each statement in a transaction of its own. */
export function setupScript(names: CatalogNames, newTable: TableColumns | null): string {
  const [first] = names.tables;
  const table =
    newTable !== null && first !== undefined
      ? `-- The outbox table. Producers insert into it in the transaction that the event is about.\n${createTableSql(first.table, newTable)}\n\n`
      : '';
  return `${table}-- The publication comes before the slot: the slot decodes with the catalog of its time.
${createPublicationSql(names)}

-- The slot keeps WAL from here on until the relay confirms it. Not inside of a transaction that has written.
-- From version 17 on standbys with sync_replication_slots keep a copy of it, for the day when one is promoted.
${createSlotAnywhereSql(names)}

-- Where the slot began, so that \`walrelay init\` can tell a fresh start from a Redis that lost its data.
${noteSlotSql(names)}
`;
}
