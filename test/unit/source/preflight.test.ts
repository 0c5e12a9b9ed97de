import { describe, expect, test } from 'vitest';
import type { Catalog } from '../../../src/source/catalog.ts';
import {
  type Expectations,
  findProblems,
  findSilentProblems,
  findWarnings,
  isLost,
} from '../../../src/source/preflight.ts';
import { catalogWith, EXPECTED } from './catalog-facts.ts';

function problems(
  catalog: Catalog,
  expected: Expectations = EXPECTED,
): { code: string; message: string; hint: string }[] {
  return findProblems(catalog, expected).map(({ code, message, hint }) => ({ code, message, hint }));
}

function codes(catalog: Catalog): string[] {
  return problems(catalog).map(({ code }) => code);
}

test('a catalog with which nothing is wrong has no problem and no warning', () => {
  expect(problems(catalogWith())).toEqual([]);
  expect(findWarnings(catalogWith(), EXPECTED)).toEqual([]);
});

describe('the server', () => {
  test('before PostgreSQL 14 is too old', () => {
    expect(codes(catalogWith({ server: { versionNumber: 130_022, version: '13.22' } }))).toEqual([
      'PG_VERSION',
    ]);
    expect(codes(catalogWith({ server: { versionNumber: 140_018, version: '14.18' } }))).toEqual([]);
  });

  test.each(['minimal', 'replica'])('with wal_level %s is told the statement', (walLevel) => {
    const [problem] = problems(catalogWith({ server: { walLevel } }));
    expect(problem).toMatchObject({ code: 'WAL_LEVEL' });
    expect(problem!.hint).toContain("ALTER SYSTEM SET wal_level = 'logical'");
  });

  test('whose role may not replicate is told the statement, with the name quoted', () => {
    const [problem] = problems(catalogWith({ server: { canReplicate: false, user: 'the "relay"' } }));
    expect(problem).toMatchObject({ code: 'PG_PRIVILEGE', hint: 'ALTER ROLE "the ""relay""" REPLICATION;' });
  });

  test('that would send another encoding than UTF8 is refused', () => {
    expect(codes(catalogWith({ server: { clientEncoding: 'LATIN1' } }))).toEqual(['PG_ENCODING']);
  });

  test('tells all of its own problems at once, and no others: they would follow from it', () => {
    const catalog = catalogWith({
      server: { walLevel: 'replica', canReplicate: false },
      slot: null,
      table: null,
    });
    expect(codes(catalog)).toEqual(['WAL_LEVEL', 'PG_PRIVILEGE']);
  });
});

describe('the table', () => {
  test('that is missing is named', () => {
    const [problem] = problems(catalogWith({ table: null, publication: null }));
    expect(problem).toMatchObject({ code: 'TABLE_MISSING' });
    expect(problem!.message).toContain('"public"."outbox"');
  });

  test.each(['v', 'm', 'f'])('that is none (relkind %s) is refused', (kind) => {
    expect(codes(catalogWith({ table: { kind } }))).toEqual(['TABLE_UNSUITABLE']);
  });

  test.each(['u', 't'])('that is not logged (relpersistence %s) never reaches the WAL', (persistence) => {
    const [problem] = problems(catalogWith({ table: { persistence } }));
    expect(problem).toMatchObject({
      code: 'TABLE_UNSUITABLE',
      hint: 'ALTER TABLE "public"."outbox" SET LOGGED;',
    });
  });

  test('without the columns that are read is told which ones it lacks and which it has', () => {
    const [problem] = problems(catalogWith({ table: { columns: ['id', 'type', 'payload'] } }));
    expect(problem).toMatchObject({ code: 'COLUMN_MISSING' });
    expect(problem!.message).toContain('"aggregatetype", "aggregateid"; it has id, type, payload');
  });
});

describe('the publication', () => {
  test('that is missing before there is a slot is made by init', () => {
    const [problem] = problems(catalogWith({ publication: null, slot: null }));
    expect(problem).toMatchObject({ code: 'PUBLICATION_MISSING', hint: 'Run `walrelay init`.' });
  });

  test('that is missing while there is a slot is made again, and says that something may be missing', () => {
    const [problem] = problems(catalogWith({ publication: null }));
    expect(problem).toMatchObject({ code: 'PUBLICATION_MISSING' });
    expect(problem!.hint).toContain('walrelay init');
    expect(problem!.hint).toContain('walrelay epoch accept');
  });

  test('that does not publish inserts is refused', () => {
    const [problem] = problems(catalogWith({ publication: { publishesInserts: false } }));
    expect(problem).toMatchObject({
      code: 'PUBLICATION_UNSUITABLE',
      hint: `ALTER PUBLICATION "walrelay" SET (publish = 'insert');`,
    });
  });

  test('that does not cover the table is refused', () => {
    const [problem] = problems(catalogWith({ publication: { coversTable: false } }));
    expect(problem).toMatchObject({
      code: 'PUBLICATION_UNSUITABLE',
      hint: 'ALTER PUBLICATION "walrelay" ADD TABLE "public"."outbox";',
    });
  });

  test('may send a partitioned table under the names of its partitions, as long as it covers it', () => {
    expect(codes(catalogWith({ table: { kind: 'p' } }))).toEqual([]);
    const uncovered = catalogWith({ table: { kind: 'p' }, publication: { coversTable: false } });
    expect(problems(uncovered)[0]!.hint).toContain('ADD TABLE');
  });

  test('of a partitioned table under its own name is fine, as long as it covers it', () => {
    expect(codes(catalogWith({ table: { kind: 'p' }, publication: { isViaRoot: true } }))).toEqual([]);
    const uncovered = catalogWith({
      table: { kind: 'p' },
      publication: { isViaRoot: true, coversTable: false },
    });
    expect(problems(uncovered)[0]!.hint).toContain('ADD TABLE');
  });

  test('with a row filter is refused: events would be left out in silence', () => {
    const [problem] = problems(catalogWith({ publication: { rowFilter: '(id > 5)' } }));
    expect(problem).toMatchObject({
      code: 'PUBLICATION_UNSUITABLE',
      hint: 'ALTER PUBLICATION "walrelay" DROP TABLE "public"."outbox"; ALTER PUBLICATION "walrelay" ADD TABLE "public"."outbox";',
    });
  });

  test('with a column list that leaves out a column is told the list that does not', () => {
    const [problem] = problems(
      catalogWith({ publication: { publishedColumns: ['id', 'type', 'created_at'] } }),
    );
    expect(problem!.message).toContain('leaves out the column "aggregatetype", "aggregateid", "payload"');
    expect(problem!.hint).toBe(
      'ALTER PUBLICATION "walrelay" DROP TABLE "public"."outbox"; ALTER PUBLICATION "walrelay" ADD TABLE "public"."outbox" ' +
        '("id", "type", "created_at", "aggregatetype", "aggregateid", "payload");',
    );
  });

  test('with a column list that holds every column that is read is fine', () => {
    expect(
      codes(catalogWith({ publication: { publishedColumns: [...EXPECTED.tables[0]!.columns, 'x'] } })),
    ).toEqual([]);
  });
});

test('no statement takes the other tables out of the publication, as SET TABLE would', () => {
  const publication = {
    rowFilter: '(id > 5)',
    publishedColumns: ['id'],
    coversTable: false,
    publishesInserts: false,
  };
  const hints = problems(catalogWith({ publication })).map(({ hint }) => hint);
  expect(hints).toHaveLength(4);
  expect(hints.join()).not.toContain('SET TABLE');
});

describe('the slot', () => {
  test('that is missing is named', () => {
    expect(codes(catalogWith({ slot: null }))).toEqual(['SLOT_MISSING']);
  });

  test.each([
    ['is physical', { slotType: 'physical' }, 'is a physical slot'],
    ['is of another plugin', { plugin: 'wal2json' }, 'uses the plugin wal2json, not pgoutput'],
    ['is of another database', { database: 'test' }, 'belongs to the database test, not to shop'],
    ['is temporary', { isTemporary: true }, 'is temporary'],
  ])('that %s is refused', (_what, slot, message) => {
    const [problem] = problems(catalogWith({ slot }));
    expect(problem!.code).toBe('SLOT_UNSUITABLE');
    expect(problem!.message).toContain(message);
  });

  test.each([
    ['lost its WAL', { walStatus: 'lost' }, 'lost'],
    ['was invalidated', { invalidationReason: 'idle_timeout' }, 'idle_timeout'],
    ['has no confirmed position', { confirmedLsn: null, walStatus: null }, 'no reason given'],
  ])('that %s is lost', (_what, slot, reason) => {
    const catalog = catalogWith({ slot });
    expect(isLost(catalog.slot!)).toBe(true);
    expect(problems(catalog)[0]).toMatchObject({ code: 'SLOT_LOST' });
    expect(problems(catalog)[0]!.message).toContain(`(${reason})`);
  });

  test('that somebody holds is no problem of the catalog: a standby waits for it', () => {
    expect(codes(catalogWith({ slot: { isActive: true, holder: 'pid 7' } }))).toEqual([]);
  });
});

describe('a table that was renamed', () => {
  const other = { schema: 'public', name: 'messages', columns: EXPECTED.tables[0]!.columns };

  test('is found among what the publication covers, by its columns', () => {
    const [problem] = problems(catalogWith({ table: null, publication: { otherTables: [other] } }));
    expect(problem).toMatchObject({ code: 'TABLE_MISSING' });
    expect(problem!.hint).toContain(`WALRELAY_TABLE='"public"."messages"'`);
    const [unlike] = problems(
      catalogWith({ table: null, publication: { otherTables: [{ ...other, columns: ['id'] }] } }),
    );
    expect(unlike!.hint).not.toContain('messages');
  });

  test('and whose name another one has is named too', () => {
    const publication = { coversTable: false, otherTables: [other] };
    const [problem] = problems(catalogWith({ publication }));
    expect(problem).toMatchObject({ code: 'PUBLICATION_UNSUITABLE' });
    expect(problem!.hint).toContain('were the tables swapped?');
  });
});

describe('what leaves rows out in silence', () => {
  test.each([
    ['an unlogged table', { table: { persistence: 'u' } }, 'TABLE_UNSUITABLE'],
    ['an unlogged partition', { table: { unloggedPartitions: ['p1'] } }, 'TABLE_UNSUITABLE'],
    ['a row filter', { publication: { rowFilter: '(true)' } }, 'PUBLICATION_UNSUITABLE'],
    ['a published parent', { publication: { coversTable: false, sentAs: 'a.b' } }, 'PUBLICATION_UNSUITABLE'],
  ])('is %s, at the start and later', (_what, wrong, code) => {
    const catalog = catalogWith(wrong);
    expect(findSilentProblems(catalog, EXPECTED).map((problem) => problem.code)).toEqual([code]);
    expect(codes(catalog)).toEqual([code]);
  });

  test('is no missing column: the stream says that at the right place', () => {
    const catalog = catalogWith({ table: { columns: [] }, publication: { publishedColumns: ['id'] } });
    expect(findSilentProblems(catalog, EXPECTED)).toEqual([]);
    expect(codes(catalog)).toEqual(['COLUMN_MISSING', 'PUBLICATION_UNSUITABLE']);
  });
});

test('a standby whose slot is a copy is worth another try: it may be promoted', () => {
  const catalog = catalogWith({
    server: { isInRecovery: true },
    slot: { isSynced: true, isTemporary: true },
  });
  expect(findProblems(catalog, EXPECTED)).toMatchObject([{ code: 'PG_STANDBY', disposition: 'retry' }]);
});

test('problems of table, publication and slot are told together', () => {
  const catalog = catalogWith({
    table: { columns: [] },
    publication: { publishesInserts: false },
    slot: null,
  });
  expect(codes(catalog)).toEqual(['COLUMN_MISSING', 'PUBLICATION_UNSUITABLE', 'SLOT_MISSING']);
});

describe('a warning', () => {
  test.each([
    [140_017, true],
    [140_018, false],
    [150_012, true],
    [150_013, false],
    [160_008, true],
    [160_009, false],
    [170_004, true],
    [170_005, false],
    [180_000, false],
  ])('names the release that mends a loss of changes: %i → %s', (versionNumber, isWarned) => {
    const warnings = findWarnings(catalogWith({ server: { versionNumber } }), EXPECTED);
    expect(warnings.some((warning) => warning.includes('can lose logical changes'))).toBe(isWarned);
  });

  test.each(['*', 'FIRST 1 (walrelay)', 'ANY 1 (a, walrelay)'])(
    'says that synchronous_standby_names = %s makes commits wait for the relay',
    (synchronousStandbyNames) => {
      const warnings = findWarnings(catalogWith({ server: { synchronousStandbyNames } }), EXPECTED);
      expect(warnings.join()).toContain('makes commits wait for this relay');
    },
  );

  test.each([
    ['the encoding is SQL_ASCII', { server: { serverEncoding: 'SQL_ASCII' } }, 'byte for byte'],
    ['the server is a standby', { server: { isInRecovery: true } }, 'standby'],
    ['the publication is for all tables', { publication: { isForAllTables: true } }, 'FOR ALL TABLES'],
    ['an idle slot is invalidated', { server: { idleSlotTimeoutS: 3600 } }, '3600 s'],
    [
      'a promoted standby would lack the slot',
      { server: { physicalSlots: ['s1', 's2'] }, slot: { isFailover: false } },
      'ALTER_REPLICATION_SLOT "walrelay" (FAILOVER true)',
    ],
    [
      'a promoted standby may lack events',
      { server: { physicalSlots: ['s1', 's2'] } },
      "synchronized_standby_slots = 's1, s2'",
    ],
    ['the slot is about to be lost', { slot: { walStatus: 'unreserved' } }, 'lost at the next checkpoint'],
  ])('says when %s', (_what, wrong, text) => {
    const catalog = catalogWith(wrong);
    expect(findWarnings(catalog, EXPECTED).join()).toContain(text);
    expect(codes(catalog)).toEqual([]);
  });

  test('about failover needs a server that offers it, a standby and nothing set', () => {
    const server = { physicalSlots: ['s1'] };
    const quiet = [
      { server: { ...server, versionNumber: 160_014 }, slot: { isFailover: null } },
      { server: { ...server, synchronizedStandbySlots: 's1' } },
      { slot: { isFailover: false } },
    ];
    for (const wrong of quiet) expect(findWarnings(catalogWith(wrong), EXPECTED)).toEqual([]);
  });
});

describe('where all outboxes are of messages', () => {
  const expected: Expectations = { ...EXPECTED, tables: [], messagePrefixes: ['events'] };
  const of = (wrong: Parameters<typeof catalogWith>[0]) => ({ ...catalogWith(wrong), tables: [] });

  test('a publication that covers no table, and publishes nothing, will do; none at all will not', () => {
    expect(problems(of({ publication: { coversTable: false, publishesInserts: false } }), expected)).toEqual(
      [],
    );
    expect(problems(of({ publication: null }), expected)).toMatchObject([{ code: 'PUBLICATION_MISSING' }]);
  });

  test.each<[Parameters<typeof catalogWith>[0], string]>([
    [{ slot: null }, 'SLOT_MISSING'],
    [{ slot: { walStatus: 'lost' } }, 'SLOT_LOST'],
  ])('a slot that is gone is told as a loss, and not as something to recover: %j', (wrong, code) => {
    const [problem] = problems(of(wrong), expected);
    expect(problem).toMatchObject({ code });
    expect(problem!.hint).toContain('no table holds it');
    expect(problem!.hint).not.toContain('walrelay recover');
    expect(problems(catalogWith(wrong))[0]!.hint).toContain('walrelay recover');
  });

  test.each([
    ['LATIN1', ['PG_ENCODING']],
    ['UTF8', []],
    ['SQL_ASCII', []],
  ])('a database in %s: %j', (serverEncoding, found) => {
    const codesOf = (catalog: Catalog, names: Expectations) =>
      problems(catalog, names).map(({ code }) => code);
    expect(codesOf(of({ server: { serverEncoding } }), expected)).toEqual(found);
    expect(codesOf(catalogWith({ server: { serverEncoding } }), EXPECTED)).toEqual([]);
  });

  test('it is said when everybody may emit', () => {
    expect(findWarnings(of({ server: { canAllEmit: true } }), expected)).toEqual([
      expect.stringContaining('forge events with the prefix events') as string,
    ]);
    expect(findWarnings(of({ server: { canAllEmit: false } }), expected)).toEqual([]);
  });
});
