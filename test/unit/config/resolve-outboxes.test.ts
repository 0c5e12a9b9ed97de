import { expect, test } from 'vitest';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { selectOutbox, selectOutboxes } from '../../../src/config/select-outbox.ts';
import type { Settings } from '../../../src/config/settings.ts';

function load(yaml: string, env: Record<string, string> = {}): Settings {
  return loadSettings({
    env: { DATABASE_URL: 'postgres://db/x', REDIS_URL: 'redis://r', ...env },
    flags: {},
    configFile: 'w.yaml',
    readFile: () => yaml,
  });
}

function problemsOf(yaml: string): string[] {
  try {
    load(yaml);
  } catch (error) {
    return (error as Error).message
      .split('\n')
      .slice(1)
      .map((line) => line.trim());
  }
  return [];
}

test('an item says what is its own and inherits the rest, from wherever that comes', () => {
  const { outboxes } = load(
    'columnPayload: body\nfields: { trace: t }\noutboxes:\n  - table: a\n  - { name: b, table: s.b, columnId: "x, y", columnType: none, fields: {} }\n',
    { WALRELAY_STREAM: 's.${aggregateid}' },
  );
  expect(outboxes).toMatchObject([
    {
      name: 'public.a',
      columnId: ['id'],
      columnType: 'type',
      columnPayload: 'body',
      stream: 's.${aggregateid}',
      fields: { trace: 't' },
    },
    { name: 'b', table: { schema: 's', name: 'b' }, columnId: ['x', 'y'], columnType: null, fields: {} },
  ]);
});

test('a column of several can have a comma in a list', () => {
  expect(load('columnId: ["a,b", c]\n').outboxes[0]?.columnId).toEqual(['a,b', 'c']);
});

test.each([
  ['outboxes: []', 'w.yaml: outboxes: expected a list of at least one outbox'],
  ['outboxes: { table: a }', 'w.yaml: outboxes: expected a list of at least one outbox'],
  [
    'outboxes: [{ table: a }, { table: public.a }]',
    'w.yaml: outboxes[1].table: public.a is that of outboxes[0] too',
  ],
  [
    'outboxes: [{ table: a, name: x }, { table: b, name: x }]',
    'w.yaml: outboxes[1].name: x is that of outboxes[0] too',
  ],
  ['outboxes: [{ table: a, slot: x }]', 'w.yaml: outboxes[0].slot: unknown key'],
  ['outboxes: [{ table: a, stream: 7 }]', 'w.yaml: outboxes[0].stream: got 7; expected a stream name'],
  [
    'fields: { payload: x }',
    'w.yaml: fields: got a map; expected a map from entry fields to columns; payload has a meaning',
  ],
  ['fields: { a: x }\nstaticFields: { a: y }', 'w.yaml: staticFields: a is one of fields too'],
  [
    'fields: { a: x, payload: y }\noutboxes: [{ table: a }, { table: b }]',
    'w.yaml: fields: got a map; expected',
  ],
  ['routes: [{ stream: x }]', 'w.yaml: routes: got a list; expected a list of routes'],
  ['routes: [{ when: { type: x }, drop: true, stream: y }]', 'the one at 0 has drop and more than when'],
])('%s is refused with its place', (yaml, expected) => {
  const problems = problemsOf(yaml);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(expected);
});

test('routes are read with numbers as texts and null as NULL', () => {
  const [outbox] = load(
    'routes: [{ when: { tenant: [1, null], type: a }, stream: x, staticFields: { l: h } }, { when: { type: b }, drop: true }]',
  ).outboxes;
  expect(outbox?.routes).toEqual([
    {
      when: { tenant: ['1', null], type: ['a'] },
      stream: 'x',
      format: null,
      isDropped: false,
      staticFields: { l: 'h' },
    },
    { when: { type: ['b'] }, stream: null, format: null, isDropped: true, staticFields: {} },
  ]);
});

test('a command finds an outbox by its name or its table, and is told of those there are', () => {
  const settings = load('outboxes: [{ table: a, name: first }, { table: s.b }]');
  expect(selectOutboxes(settings, undefined)).toHaveLength(2);
  expect(selectOutboxes(settings, 'first')[0]?.table.name).toBe('a');
  expect(selectOutboxes(settings, 'a')[0]?.name).toBe('first');
  expect(selectOutbox(settings, 's.b', 'x').name).toBe('s.b');
  expect(() => selectOutboxes(settings, 'c')).toThrow('there are: first, s.b');
  expect(() => selectOutbox(settings, undefined, 'walrelay x')).toThrow('walrelay x is about one outbox');
});

test('a preset fills in what nobody says, and everything that is said comes before it', () => {
  const [cap] = load('preset: cap\n').outboxes;
  expect(cap).toMatchObject({
    preset: 'cap',
    table: { schema: 'cap', name: 'published' },
    columnId: ['Id'],
    columnType: 'Name',
    columnAggregateType: null,
    columnPayload: 'Content',
    columnTime: null,
    fields: { version: 'Version' },
    stream: 'outbox.${type}',
  });
  const settings = load('preset: cap\ncolumnId: Name\ntable: bus.published\nfields: { retries: Retries }\n', {
    WALRELAY_STREAM: 'all',
  });
  expect(settings.pollOrderColumn).toBe('Id');
  expect(settings.outboxes).toMatchObject([
    {
      table: { schema: 'bus' },
      columnId: ['Name'],
      columnPayload: 'Content',
      fields: { retries: 'Retries' },
      stream: 'all',
    },
  ]);
  expect(settings.outboxes[0]?.fields).toEqual({ retries: 'Retries' });
  expect(load('', { WALRELAY_PRESET: 'eventuate-tram' }).outboxes[0]?.routes).toEqual([
    { when: { published: ['1'] }, stream: null, format: null, isDropped: true, staticFields: {} },
  ]);
});

test('an item’s own preset comes before what it inherits, and what the item says before both', () => {
  const { outboxes } = load(
    'preset: cap\ncolumnPayload: body\nfields: { a: A }\noutboxes:\n' +
      '  - { table: inherits }\n' +
      '  - { preset: masstransit, columnTime: SentTime }\n' +
      '  - { preset: none, table: plain }\n',
  );
  expect(outboxes).toMatchObject([
    { preset: 'cap', columnId: ['Id'], columnPayload: 'body', fields: { a: 'A' }, stream: 'outbox.${type}' },
    {
      preset: 'masstransit',
      table: { schema: 'public', name: 'OutboxMessage' },
      columnId: ['MessageId'],
      columnPayload: 'Body',
      columnTime: 'SentTime',
      stream: 'outbox.masstransit',
    },
    {
      preset: null,
      columnId: ['id'],
      columnType: 'type',
      columnPayload: 'body',
      fields: { a: 'A' },
      stream: 'outbox.${aggregatetype}',
    },
  ]);
  expect(outboxes[1]?.fields).not.toHaveProperty('a');
});

test('a preset that there is none of is refused once, with those that there are', () => {
  const problems = problemsOf('preset: nobody\n');
  expect(problems).toEqual([
    expect.stringContaining('w.yaml: preset: got "nobody"; expected one of walrelay, debezium,'),
  ]);
  expect(problemsOf('outboxes: [{ preset: nobody }]')).toEqual([
    expect.stringContaining('w.yaml: outboxes[0].preset: got "nobody"; expected one of'),
  ]);
});
