import { WalrelayError } from '../core/walrelay-error.ts';
import type { RedisFacts } from '../sink/redis-preflight.ts';
import { quoteIdentifier, quoteQualified } from '../source/sql.ts';
import type { PolledTable } from './polled-table.ts';
import type { IndexFacts, PolledTableFacts, PollingCatalog } from './polling-catalog.ts';

/**
 * The guards that a look at the catalog can answer. Pure: facts in, problems out; every problem names its cause and the
 * statement that mends it.
 */
export function findPollingProblems(catalog: PollingCatalog, table: PolledTable): WalrelayError[] {
  const { server } = catalog;
  const problems: WalrelayError[] = [];
  if (server.versionNumber < 140_000) {
    problems.push(new WalrelayError('PG_VERSION', `PostgreSQL ${server.version} is too old`));
  }
  if (server.isInRecovery) {
    problems.push(
      new WalrelayError('PG_READ_ONLY', 'this server is a standby: rows can be neither claimed nor deleted'),
    );
  }
  if (server.clientEncoding !== 'UTF8') {
    problems.push(
      new WalrelayError(
        'PG_ENCODING',
        `the connection's client_encoding is ${server.clientEncoding}, not UTF8`,
        { hint: 'Remove client_encoding from DATABASE_URL and from the role’s settings.' },
      ),
    );
  }
  // Without its ground the rest would only repeat the first cause.
  if (problems.length > 0) return problems;
  return catalog.table === null
    ? [
        new WalrelayError(
          'TABLE_MISSING',
          `the table ${quoteQualified(table.name)} does not exist in this database`,
          {
            hint: 'Create it as in postgres/outbox.sql, or correct the table in the settings (WALRELAY_TABLE).',
          },
        ),
      ]
    : findTableProblems(catalog.table, table, server.user);
}

function findTableProblems(facts: PolledTableFacts, table: PolledTable, user: string): WalrelayError[] {
  const name = quoteQualified(table.name);
  if (facts.kind !== 'r' && facts.kind !== 'p') {
    return [new WalrelayError('TABLE_UNSUITABLE', `${name} is not a table`)];
  }
  if (facts.persistence !== 'p') {
    return [
      new WalrelayError(
        'TABLE_UNSUITABLE',
        `the table ${name} is not logged: a crash of Postgres empties it, whatever was published`,
        { hint: `ALTER TABLE ${name} SET LOGGED;` },
      ),
    ];
  }
  return [
    ...findColumnProblems(facts, table),
    ...findMarkProblems(facts, table),
    ...findPrivilegeProblems(facts, table, user),
  ];
}

function findColumnProblems(facts: PolledTableFacts, table: PolledTable): WalrelayError[] {
  const name = quoteQualified(table.name);
  const has = facts.columns.map((column) => column.name);
  const problems: WalrelayError[] = [];
  const missing = table.columns.filter((column) => !has.includes(column));
  if (missing.length > 0) {
    problems.push(
      new WalrelayError(
        'COLUMN_MISSING',
        `the table ${name} has no column ${missing.map(quoteIdentifier).join(', ')}; it has ${has.join(', ')}`,
      ),
    );
  }
  if (!has.includes(table.orderColumn)) {
    const order = quoteIdentifier(table.orderColumn);
    problems.push(
      new WalrelayError(
        'COLUMN_MISSING',
        `the table ${name} has no column ${order} to order by; it has ${has.join(', ')}`,
        {
          hint: `Name one with WALRELAY_POLL_ORDER_COLUMN, or: ALTER TABLE ${name} ADD COLUMN ${order} bigint GENERATED ALWAYS AS IDENTITY UNIQUE;`,
        },
      ),
    );
  }
  return problems;
}

function findMarkProblems(facts: PolledTableFacts, table: PolledTable): WalrelayError[] {
  if (table.markColumn === null) return [];
  const name = quoteQualified(table.name);
  const mark = quoteIdentifier(table.markColumn);
  const column = facts.columns.find((each) => each.name === table.markColumn);
  if (column === undefined) {
    return [
      new WalrelayError(
        'COLUMN_MISSING',
        `the table ${name} has no column ${mark} to mark published rows in`,
        {
          hint: `ALTER TABLE ${name} ADD COLUMN ${mark} timestamptz; or name another with WALRELAY_POLL_MARK_COLUMN.`,
        },
      ),
    ];
  }
  const unsuitable = (what: string, hint: string) => [
    new WalrelayError('COLUMN_UNSUITABLE', `the column ${mark} of ${name} ${what}`, { hint }),
  ];
  if (!column.type.startsWith('timestamp')) {
    return unsuitable(
      `is of the type ${column.type}, not timestamptz`,
      `ALTER TABLE ${name} ADD COLUMN … timestamptz; and name it with WALRELAY_POLL_MARK_COLUMN.`,
    );
  }
  if (column.isRequired) {
    return unsuitable(
      'must not be NULL, but NULL means not yet published',
      `ALTER TABLE ${name} ALTER COLUMN ${mark} DROP NOT NULL;`,
    );
  }
  if (column.hasDefault) {
    return unsuitable(
      'has a default: rows would be born as published',
      `ALTER TABLE ${name} ALTER COLUMN ${mark} DROP DEFAULT;`,
    );
  }
  return [];
}

function findPrivilegeProblems(facts: PolledTableFacts, table: PolledTable, user: string): WalrelayError[] {
  const missing: string[] = [];
  if (!facts.canSelect) missing.push('SELECT');
  if (table.markColumn === null) {
    if (!facts.canDelete) missing.push('DELETE');
    // FOR UPDATE asks for UPDATE on some column, although none is changed.
    if (!facts.canLock) missing.push(`UPDATE (${quoteIdentifier(table.columns[0] ?? '')})`);
  } else if (facts.columns.find(({ name }) => name === table.markColumn)?.canUpdate === false) {
    missing.push(`UPDATE (${quoteIdentifier(table.markColumn)})`);
  }
  const role = quoteIdentifier(user);
  const grants: string[] = [];
  if (missing.length > 0)
    grants.push(`GRANT ${missing.join(', ')} ON ${quoteQualified(table.name)} TO ${role};`);
  if (!facts.canUseSchema)
    grants.push(`GRANT USAGE ON SCHEMA ${quoteIdentifier(table.name.schema)} TO ${role};`);
  if (grants.length === 0) return [];
  return [
    new WalrelayError(
      'PG_PRIVILEGE',
      `the role ${user} may not claim rows of ${quoteQualified(table.name)}`,
      {
        hint: grants.join(' '),
      },
    ),
  ];
}

/** Whether no two rows are equal in the order column. */
export function isOrderUnique(facts: PolledTableFacts, table: PolledTable): boolean {
  return facts.indexes.some(
    (index) =>
      index.isUnique &&
      index.columnCount === 1 &&
      index.firstColumn === table.orderColumn &&
      index.predicate === null,
  );
}

/** What does not keep polling from starting, but somebody should know. */
export function findPollingWarnings(
  catalog: PollingCatalog,
  table: PolledTable,
  settings: { readonly pollListenChannel: string; readonly pollWorkers: number; readonly slot: string },
): string[] {
  const { server, table: facts } = catalog;
  if (facts === null) return [];
  const warnings: string[] = [];
  const name = quoteQualified(table.name);
  const advice = findIndexAdvice(facts, table);
  if (advice !== null) warnings.push(advice);
  const orderType = facts.columns.find((column) => column.name === table.orderColumn)?.type ?? '';
  if (orderType === 'uuid') {
    warnings.push(
      `rows are claimed in the order of ${quoteIdentifier(table.orderColumn)}, a uuid: that is the order of their creation only for version 7`,
    );
  } else if (!isOrderUnique(facts, table)) {
    warnings.push(
      `${quoteIdentifier(table.orderColumn)} is not unique: rows with one value come in the order of their places in the table, which is that ` +
        'of their inserts only mostly; an identity column orders them all',
    );
  }
  if (settings.pollListenChannel !== 'off' && !facts.hasInsertTrigger) {
    warnings.push(
      `no trigger of ${name} fires on an insert: unless the application sends NOTIFY itself, only the interval wakes the relay (see postgres/notify-trigger.sql)`,
    );
  }
  if (server.hasSlot) {
    warnings.push(
      `the replication slot ${settings.slot} is there: if \`walrelay run\` relays this table too, every event is published twice`,
    );
  }
  if (server.serverEncoding === 'SQL_ASCII') {
    warnings.push(
      'the database encoding is SQL_ASCII: payloads are passed on byte for byte, whatever they hold',
    );
  }
  return warnings;
}

/** Null when an index serves the claim well. */
function findIndexAdvice(facts: PolledTableFacts, table: PolledTable): string | null {
  const order = quoteIdentifier(table.orderColumn);
  const name = quoteQualified(table.name);
  const ordered = facts.indexes.filter(
    (index) => index.firstColumn === table.orderColumn && !index.isDescending,
  );
  if (table.markColumn === null) {
    if (ordered.some((index) => index.predicate === null)) return null;
    return `no index serves the order of ${order}: every claim reads and sorts the whole table; CREATE INDEX CONCURRENTLY ON ${name} (${order});`;
  }
  const mark = quoteIdentifier(table.markColumn);
  if (ordered.some((index) => isOfUnpublished(index, table.markColumn ?? ''))) return null;
  return (
    `no index holds only what is not yet published, in the order of ${order}: every claim steps over the rows that are; ` +
    `CREATE INDEX CONCURRENTLY ON ${name} (${order}) WHERE ${mark} IS NULL;`
  );
}

function isOfUnpublished(index: IndexFacts, markColumn: string): boolean {
  const predicate = index.predicate?.replaceAll(/^\(|\)$/g, '');
  return predicate === `${markColumn} IS NULL` || predicate === `${quoteIdentifier(markColumn)} IS NULL`;
}

/** Unlike `run`, polling keeps nothing in Redis by which it would notice a loss. */
export function findPollingRedisWarnings(facts: RedisFacts): string[] {
  if (facts.hasAof) return [];
  return [
    facts.saveRules === ''
      ? 'Redis keeps nothing on disk: a restart loses every stream, and what was published is gone from the outbox'
      : 'Redis has no append-only file (appendonly no): a crash loses its last minutes, and what was published is gone from the outbox',
  ];
}
