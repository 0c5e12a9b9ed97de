import { assignSetting, nameSetting } from '../core/name-setting.ts';
import type { OutboxPlace } from '../core/outbox-mapping.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type {
  Catalog,
  CatalogNames,
  NamedTable,
  PublicationFacts,
  ServerFacts,
  SlotFacts,
  TableCatalog,
} from './catalog.ts';
import { findMessageProblems, NO_TABLE_HOLDS_IT } from './message-problems.ts';
import { publicationMissing } from './publication-missing.ts';
import { quoteIdentifier, quoteLiteral, quoteQualified } from './sql.ts';

/**
 * The guards that one look at the catalog can answer. Pure: facts in, problems out; every problem names its cause
 * and the statement that mends it.
 */
export interface Expectations extends CatalogNames {
  readonly tables: readonly ExpectedTable[];
}

export interface ExpectedTable extends NamedTable {
  /** The table's columns that the relay reads. */
  readonly columns: readonly string[];
  /** What its settings are called in what is said. */
  readonly place: OutboxPlace | null;
}

/** Each table with what is expected of it, as if it were the only one. */
function views(catalog: Catalog, { tables, ...expected }: Expectations): [TableView, TableExpectations][] {
  const { slot } = catalog;
  return tables.map((table, place) => [
    { ...(catalog.tables[place] as TableCatalog), slot },
    { ...expected, ...table },
  ]);
}

type TableView = TableCatalog & { readonly slot: SlotFacts | null };
export type TableExpectations = ExpectedTable & Omit<CatalogNames, 'tables'>;

/** What is wrong with the publication as a whole is found with each of its tables. */
function eachOnce(problems: readonly WalrelayError[]): WalrelayError[] {
  return problems.filter(
    ({ message }, place) => problems.findIndex((other) => other.message === message) === place,
  );
}

/**
 * What leaves rows out of the stream in silence, while it flows. Missing columns are not among it: the stream itself
 * says them, and at the right place, between the rows that have them and those that don't.
 */
export function findSilentProblems(catalog: Catalog, expected: Expectations): WalrelayError[] {
  const problems = views(catalog, expected).flatMap(([view, table]) => [
    ...findTableProblems(view, table),
    ...findCoverageProblems(view, table),
  ]);
  return eachOnce(problems).filter(({ code }) => code !== 'COLUMN_MISSING');
}

/** Everything that keeps the relay from starting, most basic first. */
export function findProblems(catalog: Catalog, expected: Expectations): WalrelayError[] {
  const server = findServerProblems(catalog.server);
  // Without its ground the rest would only repeat the first cause.
  if (server.length > 0) return server;
  return [
    ...findMessageProblems(catalog, expected),
    ...eachOnce([
      ...views(catalog, expected).flatMap(([view, table]) => findTableProblems(view, table)),
      ...views(catalog, expected).flatMap(([view, table]) => findPublicationProblems(view, table)),
    ]),
    ...findSlotProblems(catalog, expected),
  ];
}

export function findServerProblems(server: ServerFacts): WalrelayError[] {
  const problems: WalrelayError[] = [];
  if (server.versionNumber < 140_000) {
    problems.push(new WalrelayError('PG_VERSION', `PostgreSQL ${server.version} is too old`));
  }
  if (server.walLevel !== 'logical') {
    problems.push(
      new WalrelayError('WAL_LEVEL', `wal_level is '${server.walLevel}'; logical decoding needs 'logical'`),
    );
  }
  if (!server.canReplicate) {
    problems.push(
      new WalrelayError('PG_PRIVILEGE', `the role ${server.user} may not replicate`, {
        hint: `ALTER ROLE ${quoteIdentifier(server.user)} REPLICATION;`,
      }),
    );
  }
  if (server.clientEncoding !== 'UTF8') {
    problems.push(
      new WalrelayError(
        'PG_ENCODING',
        `the connection's client_encoding is ${server.clientEncoding}, not UTF8`,
        {
          hint: 'Remove client_encoding from DATABASE_URL and from the role’s settings.',
        },
      ),
    );
  }
  return problems;
}

export function findTableProblems(
  { table, publication }: Pick<TableCatalog, 'table' | 'publication'>,
  expected: TableExpectations,
): WalrelayError[] {
  if (table === null) {
    const renamed = renamedFrom(publication, expected);
    return [
      new WalrelayError(
        'TABLE_MISSING',
        `the table ${quoteQualified(expected.table)} does not exist in this database`,
        {
          hint:
            renamed === null
              ? `${expected.place === null ? 'Run `walrelay init --create-table`' : 'Create it'}, or correct ${nameSetting(expected, 'table')}.`
              : `The publication covers ${renamed}, which has all columns: if that is its new name, set ${assignSetting(expected, 'table', renamed)}.`,
        },
      ),
    ];
  }
  const name = quoteQualified(table);
  if (table.kind !== 'r' && table.kind !== 'p') {
    const what = RELATION_KINDS[table.kind] ?? `a relation of the kind '${table.kind}'`;
    return [new WalrelayError('TABLE_UNSUITABLE', `${name} is ${what}, not a table`)];
  }
  if (table.persistence !== 'p') {
    return [
      new WalrelayError('TABLE_UNSUITABLE', `the table ${name} is not logged: its rows never reach the WAL`, {
        hint: `ALTER TABLE ${name} SET LOGGED;`,
      }),
    ];
  }
  const [unlogged] = table.unloggedPartitions;
  if (unlogged !== undefined) {
    return [
      new WalrelayError(
        'TABLE_UNSUITABLE',
        `${name} has partitions whose rows never reach the WAL, unlogged or foreign: ${table.unloggedPartitions.join(', ')}`,
        { hint: `ALTER TABLE ${unlogged} SET LOGGED; or detach it. Its rows so far were not relayed.` },
      ),
    ];
  }
  const missing = expected.columns.filter((column) => !table.columns.includes(column));
  if (missing.length === 0) return [];
  return [
    new WalrelayError(
      'COLUMN_MISSING',
      `the table ${name} has no column ${missing.map(quoteIdentifier).join(', ')}; it has ${table.columns.join(', ')}`,
      expected.place === null
        ? {}
        : {
            hint: `Map the column in ${expected.place.item} of ${expected.place.file}, or add it: to the table, or to the publication's column list.`,
          },
    ),
  ];
}

/** A renamed table stays in its publication: the one that it covers with all the columns is most likely it. */
function renamedFrom(publication: PublicationFacts | null, expected: TableExpectations): string | null {
  const found = publication?.otherTables.find(({ columns }) =>
    expected.columns.every((column) => columns.includes(column)),
  );
  return found === undefined ? null : quoteQualified(found);
}

/** https://www.postgresql.org/docs/current/catalog-pg-class.html */
const RELATION_KINDS: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  i: 'an index',
  c: 'a type',
};

function findPublicationProblems(catalog: TableView, expected: TableExpectations): WalrelayError[] {
  const problems = findCoverageProblems(catalog, expected);
  if (catalog.publication === null || catalog.table === null) return problems;
  return [...problems, ...findColumnListProblems(catalog.publication, expected)];
}

/** Whether the inserts into the table are sent, all of them. */
function findCoverageProblems(catalog: TableView, expected: TableExpectations): WalrelayError[] {
  const name = quoteIdentifier(expected.publication);
  const table = quoteQualified(catalog.table ?? expected.table);
  const publication = catalog.publication;
  if (publication === null) {
    return [publicationMissing(expected.publication, catalog.slot)];
  }
  if (catalog.table === null) return [];
  const unsuitable = (what: string, hint: string) =>
    new WalrelayError('PUBLICATION_UNSUITABLE', what, { hint });
  const problems: WalrelayError[] = [];
  if (!publication.publishesInserts) {
    problems.push(
      unsuitable(
        `the publication ${name} does not publish inserts`,
        `ALTER PUBLICATION ${name} SET (publish = 'insert');`,
      ),
    );
  }
  if (publication.sentAs !== null) {
    problems.push(
      unsuitable(
        `${table} is a partition of ${publication.sentAs}, and the publication ${name} sends its rows under that name`,
        `Set ${nameSetting(expected, 'table')} to ${publication.sentAs}, or ALTER PUBLICATION ${name} SET (publish_via_partition_root = false);`,
      ),
    );
  } else if (!publication.coversTable) {
    const other = renamedFrom(publication, expected);
    problems.push(
      unsuitable(
        `the publication ${name} does not cover ${table}`,
        `ALTER PUBLICATION ${name} ADD TABLE ${table};` +
          (other === null ? '' : ` It covers ${other}, which has the columns too: were the tables swapped?`),
      ),
    );
  }
  if (publication.rowFilter !== null) {
    problems.push(
      unsuitable(
        `the publication ${name} filters the rows of ${table}: events would be left out in silence`,
        // Not SET TABLE: that would take every other table out of the publication.
        `ALTER PUBLICATION ${name} DROP TABLE ${table}; ALTER PUBLICATION ${name} ADD TABLE ${table};`,
      ),
    );
  }
  return problems;
}

function findColumnListProblems(publication: PublicationFacts, expected: TableExpectations): WalrelayError[] {
  const published = publication.publishedColumns;
  if (published === null) return [];
  const missing = expected.columns.filter((column) => !published.includes(column));
  if (missing.length === 0) return [];
  const name = quoteIdentifier(expected.publication);
  const table = quoteQualified(expected.table);
  const all = [...new Set([...published, ...expected.columns])].map(quoteIdentifier).join(', ');
  return [
    new WalrelayError(
      'PUBLICATION_UNSUITABLE',
      `the publication ${name} leaves out the column ${missing.map(quoteIdentifier).join(', ')}`,
      {
        hint: `ALTER PUBLICATION ${name} DROP TABLE ${table}; ALTER PUBLICATION ${name} ADD TABLE ${table} (${all});`,
      },
    ),
  ];
}

function findSlotProblems(catalog: Catalog, expected: Expectations): WalrelayError[] {
  const name = quoteLiteral(expected.slot);
  const slot = catalog.slot;
  if (slot === null) {
    const hint = `Before the first start: \`walrelay init\`. Later: \`walrelay epoch accept\` makes a new one. ${NO_TABLE_HOLDS_IT}`;
    return [
      new WalrelayError(
        'SLOT_MISSING',
        `the replication slot ${name} does not exist`,
        expected.tables.length === 0 ? { hint } : {},
      ),
    ];
  }
  const unsuitable = (what: string) => [
    new WalrelayError('SLOT_UNSUITABLE', `the replication slot ${name} ${what}`),
  ];
  if (catalog.server.isInRecovery && slot.isSynced === true) {
    // In the middle of a failover the address may lead here before the promotion is done: worth another try.
    return [
      new WalrelayError(
        'PG_STANDBY',
        `this server is a standby, and its slot ${name} a copy of the primary's: it can be read after a promotion`,
      ),
    ];
  }
  if (slot.slotType !== 'logical') return unsuitable('is a physical slot');
  if (slot.plugin !== 'pgoutput') return unsuitable(`uses the plugin ${slot.plugin}, not pgoutput`);
  if (slot.database !== catalog.server.database) {
    return unsuitable(`belongs to the database ${slot.database}, not to ${catalog.server.database}`);
  }
  if (slot.isTemporary) return unsuitable('is temporary: it goes with the connection that made it');
  if (isLost(slot)) return [slotLost(expected.slot, slot, { hasTables: expected.tables.length > 0 })];
  return [];
}

export function isLost(slot: SlotFacts): boolean {
  return slot.walStatus === 'lost' || slot.invalidationReason !== null || slot.confirmedLsn === null;
}

export function whyLost(slot: SlotFacts): string {
  return slot.invalidationReason ?? slot.walStatus ?? 'no reason given';
}

export function slotLost(
  name: string,
  slot: SlotFacts,
  { hasTables }: { readonly hasTables: boolean },
): WalrelayError {
  return new WalrelayError(
    'SLOT_LOST',
    `the replication slot ${quoteLiteral(name)} was invalidated (${whyLost(slot)}): the WAL it needs is gone`,
    hasTables
      ? {}
      : {
          hint: `SELECT pg_drop_replication_slot(${quoteLiteral(name)}); then \`walrelay epoch accept\`: it makes a new one. ${NO_TABLE_HOLDS_IT}`,
        },
  );
}

/** What does not keep the relay from starting, but somebody should know. */
export function findWarnings(catalog: Catalog, expected: Expectations): string[] {
  const { server, publication, slot } = catalog;
  const warnings: string[] = [];
  const fixed = FIXED_IN_MINOR[Math.floor(server.versionNumber / 10_000)];
  if (fixed !== undefined && server.versionNumber % 10_000 < fixed) {
    warnings.push(
      `PostgreSQL ${server.version} can lose logical changes when a publication is altered while transactions are open; ` +
        `update to ${Math.floor(server.versionNumber / 10_000)}.${fixed} or later`,
    );
  }
  if (server.synchronousStandbyNames.includes('*') || server.synchronousStandbyNames.includes('walrelay')) {
    warnings.push(
      `synchronous_standby_names = '${server.synchronousStandbyNames}' makes commits wait for this relay; name the real standbys`,
    );
  }
  if (server.serverEncoding === 'SQL_ASCII') {
    warnings.push(
      'the database encoding is SQL_ASCII: payloads are passed on byte for byte, whatever they hold',
    );
  }
  if (server.isInRecovery) warnings.push('this server is a standby; the slot follows its replay');
  if (publication?.isForAllTables === true) {
    warnings.push(
      `the publication is FOR ALL TABLES: every change of every table is decoded and sent, only ${expected.tables.map(({ table }) => quoteQualified(table)).join(', ') || 'none'} is used`,
    );
  }
  if (server.canAllEmit === true) {
    warnings.push(
      `every role may call pg_logical_emit_message, and so forge events with the prefix ${expected.messagePrefixes?.join(', ')}: ` +
        'run postgres/outbox-emit.sql, which takes that right from PUBLIC',
    );
  }
  if (server.idleSlotTimeoutS > 0) {
    warnings.push(
      `idle_replication_slot_timeout = ${server.idleSlotTimeoutS} s invalidates the slot when the relay is down for that long`,
    );
  }
  warnings.push(...findFailoverWarnings(catalog, expected));
  if (slot?.walStatus === 'unreserved') {
    warnings.push(
      'the slot is beyond max_slot_wal_keep_size: it is lost at the next checkpoint unless the relay catches up',
    );
  }
  return warnings;
}

/** Physical slots say that there are standbys that may be promoted one day. */
function findFailoverWarnings({ server, slot }: Catalog, expected: Expectations): string[] {
  if (slot === null || server.isInRecovery || server.physicalSlots.length === 0) return [];
  const standbys = server.physicalSlots.join(', ');
  if (server.versionNumber < 170_000) return [];
  if (slot.isFailover !== true) {
    return [
      `the slot is no failover slot: a promoted standby (${standbys}) would not have it. With the relay stopped: ` +
        `psql "dbname=${server.database} replication=database" -c 'ALTER_REPLICATION_SLOT ${quoteIdentifier(expected.slot)} (FAILOVER true)'`,
    ];
  }
  if ((server.synchronizedStandbySlots ?? '') === '') {
    return [
      `synchronized_standby_slots is empty: events may be relayed that a standby (${standbys}) lacks when it is promoted, and the ` +
        `relay then stops with TIMELINE_FORK. ALTER SYSTEM SET synchronized_standby_slots = ${quoteLiteral(standbys)}; SELECT pg_reload_conf();`,
    ];
  }
  return [];
}

/** Minor releases of May 2025, which mended a loss of changes when ALTER PUBLICATION met open transactions. */
const FIXED_IN_MINOR: Readonly<Record<number, number>> = { 14: 18, 15: 13, 16: 9, 17: 5 };
