import { expect, test } from 'vitest';
import { loadSettings } from '../../../src/config/load-settings.ts';
import { selectOutbox, selectOutboxes, selectTables } from '../../../src/config/select-outbox.ts';
import type { Settings } from '../../../src/config/settings.ts';
import type { OutboxMapping } from '../../../src/core/outbox-mapping.ts';
import type { WalrelayError } from '../../../src/core/walrelay-error.ts';
import { compileOutbox } from '../../../src/route/outbox.ts';
import { RECOVERED_AT, SNAPSHOT_AT } from '../../../src/sink/recovery-script.ts';
import { REDRIVEN_AT } from '../../../src/sink/redrive-script.ts';
import { REPLAYED_AT } from '../../../src/sink/republish-script.ts';

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

test('an outbox is of messages when it says so, or inherits it and says nothing of a table', () => {
  const messages = { table: null, columnTime: null };
  expect(load('messagePrefix: app.events').outboxes).toMatchObject([
    {
      ...messages,
      name: 'app.events',
      messagePrefix: 'app.events',
      columnId: ['id'],
      columnPayload: 'payload',
    },
  ]);
  expect(load('', { WALRELAY_MESSAGE_PREFIX: 'x' }).outboxes).toMatchObject([{ ...messages, name: 'x' }]);
  expect(
    load(
      'messagePrefix: x\noutboxes: [{ table: a }, { name: m }, { messagePrefix: y, columnId: key }, { table: b, messagePrefix: none }]',
    ).outboxes,
  ).toMatchObject([
    { name: 'public.a', messagePrefix: null },
    { ...messages, name: 'm', messagePrefix: 'x' },
    { ...messages, name: 'y', columnId: ['key'] },
    { name: 'public.b', messagePrefix: null },
  ]);
  expect(load('table: a', { WALRELAY_MESSAGE_PREFIX: 'none' }).outboxes).toMatchObject([
    { name: 'public.a' },
  ]);
});

test('what reads rows takes the outboxes that have a table, and says why when none has', () => {
  const settings = load('outboxes: [{ table: a }, { messagePrefix: m }]');
  expect(selectTables(settings, undefined, 'this reads rows').map(({ name }) => name)).toEqual(['public.a']);
  expect(() => selectTables(settings, 'm', 'this reads rows')).toThrow(
    'this reads rows, and m is an outbox of messages: it has no table',
  );
  expect(() => selectTables(load('messagePrefix: m'), undefined, 'this reads rows')).toThrow(
    'm is an outbox of messages',
  );
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
  [
    'outboxes: [{ messagePrefix: a }, { messagePrefix: a, name: b }]',
    'w.yaml: outboxes[1].messagePrefix: a is that of outboxes[0] too',
  ],
  [
    'outboxes: [{ table: a }, { table: b, messagePrefix: c }]',
    'w.yaml: outboxes[1].messagePrefix: there is a table too; expected one of them',
  ],
  ['table: a\nmessagePrefix: b', 'w.yaml: messagePrefix: there is a table too'],
  [
    'outboxes: [{ table: a }, { messagePrefix: m, cleanup: delete }]',
    'w.yaml: outboxes[1].cleanup: there is no table; expected none',
  ],
  ['messagePrefix: "a b"', 'got "a b"; expected 1 to 64 of letters'],
  ['messagePrefix: a\ncleanup: delete', 'cleanup: got "delete"; expected none where no outbox has a table'],
  [
    'messagePrefix: a\nauditIntervalMs: 60000',
    'auditIntervalMs: got 60000; expected 0 where no outbox has a table',
  ],
  ['routes: [{ stream: x }]', 'w.yaml: routes: got a list; expected a list of routes'],
  [
    'routes: [{ when: { type: x }, trimMaxLength: 0 }]',
    'the one at 0 has a trimMaxLength that is not a whole number',
  ],
  [
    'routes: [{ when: { type: x }, drop: true, trimMaxLength: 9 }]',
    'the one at 0 has drop and more than when',
  ],
  [
    'stream: orders\nroutes: [{ when: { type: x }, trimMaxLength: 9 }]',
    'w.yaml: routes: expected one trimMaxLength for a stream; "orders" is given 9 and, in public.outbox, off',
  ],
  [
    'trimMaxLength: 5\noutboxes: [{ table: a, stream: s }, { table: b, stream: s, trimMaxLength: off }]',
    'w.yaml: routes: expected one trimMaxLength for a stream; "s" is given 5 and, in public.b, off',
  ],
  ['routes: [{ when: { type: x }, drop: true, stream: y }]', 'the one at 0 has drop and more than when'],
])('%s is refused with its place', (yaml, expected) => {
  const problems = problemsOf(yaml);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toContain(expected);
});

test.each(['id', 'lsn', 'seq', RECOVERED_AT, SNAPSHOT_AT, REPLAYED_AT, REDRIVEN_AT])(
  'no further field may be called %s: whoever reads entries takes it for what it is of ours',
  (name) => {
    for (const key of ['fields', 'staticFields'])
      expect(problemsOf(`${key}: { ${name}: x }`)).toEqual([
        expect.stringContaining(`; ${name} has a meaning of its own and can't be one of them`),
      ]);
  },
);

test('routes are read with numbers as texts and null as NULL', () => {
  const [outbox] = load(
    'routes: [{ when: { tenant: [1, null], type: a }, stream: x, staticFields: { l: h } }, { when: { type: b }, drop: true }]',
  ).outboxes;
  expect(outbox?.routes).toEqual([
    {
      when: { tenant: ['1', null], type: ['a'] },
      stream: 'x',
      format: null,
      trimMaxLength: null,
      isDropped: false,
      staticFields: { l: 'h' },
    },
    {
      when: { type: ['b'] },
      stream: null,
      format: null,
      trimMaxLength: null,
      isDropped: true,
      staticFields: {},
    },
  ]);
});

test('lengths are inherited from the outbox and from the top; one of them is enough for even-unread', () => {
  const { outboxes, trimMaxLength } = load(
    'trim: even-unread\noutboxes: [{ table: a, trimMaxLength: 5 }, { table: b, routes: [{ when: { type: x }, stream: x, trimMaxLength: 7 }] }]',
  );
  expect(trimMaxLength).toBe('off');
  expect(outboxes.map((outbox) => outbox.trimMaxLength)).toEqual([5, 'off']);
  expect(outboxes[1]?.routes[0]?.trimMaxLength).toBe(7);
  expect(load('trimMaxLength: 3\noutboxes: [{ table: a }]').outboxes[0]?.trimMaxLength).toBe(3);
  expect(problemsOf('trim: even-unread\noutboxes: [{ table: a }]')).toHaveLength(1);
});

test('each outbox may have a clean-up of its own; what does not fit is told with the outbox', () => {
  const { outboxes } = load(
    'cleanup: delete\noutboxes: [{ table: a }, { table: b, cleanup: partitions, cleanupRetentionMs: 5 }, { table: c, cleanup: none }]',
  );
  expect(outboxes.map(({ cleanup, cleanupRetentionMs }) => [cleanup, cleanupRetentionMs])).toEqual([
    ['delete', 604_800_000],
    ['partitions', 5],
    ['none', 604_800_000],
  ]);
  const problems = problemsOf(
    'auditIntervalMs: 1000\noutboxes: [{ table: a, cleanup: delete, cleanupRetentionMs: 2999 }, { name: b, table: b, cleanup: partitions, columnTime: none }, { table: c }]',
  );
  expect(problems).toEqual([
    expect.stringContaining(
      'w.yaml: outboxes: public.a.cleanupRetentionMs: expected at least 3 x auditIntervalMs',
    ),
    'w.yaml: outboxes: b.columnTime: expected the column that the table is partitioned by, for cleanup=partitions',
  ]);
});

test('an event that no template fits is told with the place of the template in the file', () => {
  const settings = load(
    'outboxes:\n  - { table: a, stream: a }\n  - table: b\n    stream: "b.${type}"\n    routes: [{ when: { aggregatetype: x }, drop: true }, { when: { aggregatetype: y }, stream: "y.${type}" }]',
  );
  const router = compileOutbox(settings.outboxes[1] as OutboxMapping, settings).createRouter();
  const hintOf = (kind: string) => {
    try {
      router.route(Buffer.from(kind), Int32Array.of(0, 0, 0, 0, 0), Int32Array.of(-1, -1, 1, -1, -1));
    } catch (error) {
      return (error as WalrelayError).hint;
    }
    return null;
  };
  expect(hintOf('z')).toBe('Choose a stream that every event can fill: outboxes[1].stream in w.yaml.');
  expect(hintOf('y')).toBe(
    'Choose a stream that every event can fill: outboxes[1].routes[1].stream in w.yaml.',
  );
});

test('a command finds an outbox by its name or its table, and is told of those there are', () => {
  const settings = load('outboxes: [{ table: a, name: first }, { table: s.b }]');
  expect(selectOutboxes(settings, undefined)).toHaveLength(2);
  expect(selectOutboxes(settings, 'first')[0]?.table?.name).toBe('a');
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
    {
      when: { published: ['1'] },
      stream: null,
      format: null,
      isDropped: true,
      staticFields: {},
      trimMaxLength: null,
    },
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
