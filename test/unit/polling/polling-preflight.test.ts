import { expect, test } from 'vitest';
import { NATIVE_OUTBOX } from '../../support/native-outbox.ts';
import type { PolledTable } from '../../../src/polling/polled-table.ts';
import type {
  IndexFacts,
  PolledColumnFacts,
  PolledTableFacts,
  PollingCatalog,
} from '../../../src/polling/polling-catalog.ts';
import {
  findPollingProblems,
  findPollingWarnings,
  isOrderUnique,
} from '../../../src/polling/polling-preflight.ts';

const column = (name: string, facts: Partial<PolledColumnFacts> = {}): PolledColumnFacts => ({
  name,
  type: 'text',
  isRequired: false,
  hasDefault: false,
  canUpdate: true,
  ...facts,
});

const index = (firstColumn: string, facts: Partial<IndexFacts> = {}): IndexFacts => ({
  name: 'i',
  firstColumn,
  columnCount: 1,
  isUnique: false,
  isDescending: false,
  predicate: null,
  ...facts,
});

const TABLE: PolledTableFacts = {
  kind: 'r',
  persistence: 'p',
  columns: [
    ...['id', 'type', 'aggregatetype', 'aggregateid', 'payload'].map((name) => column(name)),
    column('created_at', { type: 'timestamp with time zone', hasDefault: true, isRequired: true }),
    column('published_at', { type: 'timestamp with time zone' }),
  ],
  indexes: [index('created_at')],
  hasInsertTrigger: false,
  canUseSchema: true,
  canSelect: true,
  canLock: true,
  canDelete: true,
};

function catalogOf(
  table: Partial<PolledTableFacts> = {},
  server: Partial<PollingCatalog['server']> = {},
): PollingCatalog {
  return {
    server: {
      versionNumber: 170_010,
      version: '17.10',
      user: 'relay',
      clientEncoding: 'UTF8',
      serverEncoding: 'UTF8',
      isInRecovery: false,
      hasSlot: false,
      ...server,
    },
    table: { ...TABLE, ...table },
  };
}

const DELETING: PolledTable = {
  name: { schema: 'public', name: 'outbox' },
  columns: ['id', 'type', 'aggregatetype', 'aggregateid', 'payload'],
  orderColumn: 'created_at',
  markColumn: null,
  outbox: NATIVE_OUTBOX,
};
const MARKING: PolledTable = { ...DELETING, markColumn: 'published_at' };
const SETTINGS = { pollListenChannel: 'off', pollWorkers: 1, slot: 'walrelay' };

const codesOf = (catalog: PollingCatalog, table = DELETING) =>
  findPollingProblems(catalog, table).map(({ code }) => code);
const warningsOf = (catalog: PollingCatalog, table = DELETING, settings = SETTINGS) =>
  findPollingWarnings(catalog, table, settings).join('\n');

test('a table as it should be has no problem', () => {
  expect(codesOf(catalogOf())).toEqual([]);
  expect(codesOf(catalogOf({ kind: 'p' }), MARKING)).toEqual([]);
});

test('a server that can not be polled is named before its table', () => {
  expect(codesOf(catalogOf({ kind: 'v' }, { isInRecovery: true }))).toEqual(['PG_READ_ONLY']);
  expect(codesOf(catalogOf({}, { clientEncoding: 'LATIN1', versionNumber: 130_001 }))).toEqual([
    'PG_VERSION',
    'PG_ENCODING',
  ]);
  expect(codesOf({ ...catalogOf(), table: null })).toEqual(['TABLE_MISSING']);
  expect(codesOf(catalogOf({ kind: 'v' }))).toEqual(['TABLE_UNSUITABLE']);
  expect(codesOf(catalogOf({ persistence: 'u' }))).toEqual(['TABLE_UNSUITABLE']);
});

test('every column that is missing is reported at once', () => {
  const columns = TABLE.columns.filter(({ name }) => !['type', 'created_at', 'published_at'].includes(name));
  expect(codesOf(catalogOf({ columns }), MARKING)).toEqual([
    'COLUMN_MISSING',
    'COLUMN_MISSING',
    'COLUMN_MISSING',
  ]);
});

test('a mark column has to tell NULL from published', () => {
  const marked = (facts: Partial<PolledColumnFacts>) => {
    const columns = TABLE.columns.map((each) =>
      each.name === 'published_at' ? { ...each, ...facts } : each,
    );
    return codesOf(catalogOf({ columns }), MARKING);
  };
  expect(marked({ type: 'boolean' })).toEqual(['COLUMN_UNSUITABLE']);
  expect(marked({ isRequired: true })).toEqual(['COLUMN_UNSUITABLE']);
  expect(marked({ hasDefault: true })).toEqual(['COLUMN_UNSUITABLE']);
  expect(marked({ canUpdate: false })).toEqual(['PG_PRIVILEGE']);
  expect(marked({ type: 'timestamp without time zone' })).toEqual([]);
});

test('what the role lacks is granted by one statement each', () => {
  const [problem] = findPollingProblems(
    catalogOf({ canSelect: false, canDelete: false, canLock: false, canUseSchema: false }),
    DELETING,
  );
  expect(problem?.hint).toBe(
    'GRANT SELECT, DELETE, UPDATE ("id") ON "public"."outbox" TO "relay"; GRANT USAGE ON SCHEMA "public" TO "relay";',
  );
});

test('an index is advised unless one serves the order', () => {
  expect(warningsOf(catalogOf())).not.toContain('CREATE INDEX');
  const all = 'CREATE INDEX CONCURRENTLY ON "public"."outbox" ("created_at");';
  for (const indexes of [
    [],
    [index('id')],
    [index('created_at', { isDescending: true })],
    [index('created_at', { predicate: '(published_at IS NULL)' })],
  ]) {
    expect(warningsOf(catalogOf({ indexes }))).toContain(all);
  }
});

test('for marking, an index of all rows is not enough', () => {
  expect(warningsOf(catalogOf(), MARKING)).toContain('("created_at") WHERE "published_at" IS NULL;');
  const indexes = [index('created_at', { predicate: '(published_at IS NULL)' })];
  expect(warningsOf(catalogOf({ indexes }), MARKING)).not.toContain('CREATE INDEX');
});

test('an order with equal values, or of random values, is said', () => {
  expect(warningsOf(catalogOf())).toContain('"created_at" is not unique');
  const unique = catalogOf({ indexes: [index('created_at', { isUnique: true })] });
  expect(isOrderUnique(unique.table ?? TABLE, DELETING)).toBe(true);
  expect(warningsOf(unique)).toBe('');
  const ofTwo = { isUnique: true, columnCount: 2 };
  expect(isOrderUnique({ ...TABLE, indexes: [index('created_at', ofTwo)] }, DELETING)).toBe(false);
  const columns = [...TABLE.columns.filter(({ name }) => name !== 'id'), column('id', { type: 'uuid' })];
  const byId = { ...DELETING, orderColumn: 'id' };
  expect(warningsOf(catalogOf({ columns, indexes: [index('id', { isUnique: true })] }), byId)).toContain(
    'only for version 7',
  );
});

test('a channel that nothing notifies, and a slot that run would use, are said', () => {
  const settings = { ...SETTINGS, pollListenChannel: 'c' };
  expect(warningsOf(catalogOf(), DELETING, settings)).toContain('notify-trigger.sql');
  expect(warningsOf(catalogOf({ hasInsertTrigger: true }), DELETING, settings)).not.toContain('trigger');
  expect(warningsOf(catalogOf({}, { hasSlot: true }))).toContain('published twice');
});
