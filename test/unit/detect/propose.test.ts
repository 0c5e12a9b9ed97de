import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { findPreset, PRESET_NAMES } from '../../../src/config/presets.ts';
import type { OutboxSettings } from '../../../src/config/settings.ts';
import { findObstacle, findWarnings } from '../../../src/detect/find-warnings.ts';
import { propose, SCORE_SHOWN_MIN } from '../../../src/detect/propose.ts';
import { proposedFile, settingsOfFile } from '../../../src/detect/proposed-file.ts';
import type { SurveyedTable } from '../../../src/source/table-survey.ts';
import { surveyed } from './surveyed.ts';

function fileOf(table: SurveyedTable): OutboxSettings {
  const proposal = propose(table);
  if (proposal === null) throw new Error('no proposal');
  const [outbox] = settingsOfFile(proposedFile(proposal, { database: 'shop', further: {} })).outboxes;
  return outbox!;
}

function warningsOf(table: SurveyedTable): string {
  return findWarnings(propose(table)!, fileOf(table)).join('\n');
}

const scoreOf = (table: SurveyedTable) => propose(table)?.score ?? 0;

test('a table by nobody is mapped by the names and types of its columns', () => {
  const table = surveyed(
    'shop_outbox',
    'event_uuid uuid primary key, EntityType varchar not null, "Entity-Id" bigint, event_name text, body jsonb, ' +
      'trace_parent text, tenant_id uuid, occurred_at timestamptz default now(), sent boolean',
  );
  expect(fileOf(table)).toMatchObject({
    preset: null,
    columnId: ['event_uuid'],
    columnAggregateType: 'EntityType',
    columnAggregateId: 'Entity-Id',
    columnType: 'event_name',
    columnPayload: 'body',
    columnTime: 'occurred_at',
    fields: { trace_parent: 'trace_parent', tenant_id: 'tenant_id' },
    stream: 'outbox.${aggregatetype}',
  });
  expect(warningsOf(table)).toContain('sent: somebody seems to poll this table');
});

test('without a column to route by, all events of a table go to one stream, whatever its name', () => {
  expect(fileOf(surveyed('Söme "outbox"', 'id int primary key, payload text')).stream).toBe('Söme_outbox_');
  expect(fileOf(surveyed('domain events', 'id int primary key, payload text')).stream).toBe(
    'outbox.domain_events',
  );
});

test('rows that only several columns identify together have them all in their ids', () => {
  const table = surveyed('outbox', 'order_id bigint primary key, "vérsion" int primary key, data jsonb');
  expect(fileOf(table).columnId).toEqual(['order_id', 'vérsion']);
  expect(fileOf(table).columnAggregateId).toBe('order_id');
});

test('a time that an application fills is no time to rely on', () => {
  const table = surveyed('outbox', 'id int primary key, payload jsonb, created_at timestamptz not null');
  expect(fileOf(table).columnTime).toBeNull();
  expect(warningsOf(table)).toContain('created_at is filled by whoever inserts');
  for (const expression of ['now()', 'CURRENT_TIMESTAMP', 'clock_timestamp()']) {
    const filled = surveyed(
      'outbox',
      `id int primary key, payload jsonb, created_at timestamptz default ${expression}`,
    );
    expect(fileOf(filled).columnTime).toBe('created_at');
  }
});

test('a preset’s columns that a table lacks are left out of its mapping, and its time is another one’s', () => {
  const old = surveyed(
    '__MTOutboxMessage',
    'SequenceNumber bigint primary key, EnqueueTime timestamptz, SentTime timestamptz not null, Headers text, OutboxId uuid, ' +
      'MessageId uuid not null, ContentType varchar not null, Body text not null, DestinationAddress varchar',
  );
  expect(fileOf(old)).toMatchObject({
    preset: 'masstransit',
    table: { schema: 'public', name: '__MTOutboxMessage' },
    columnType: null,
    columnPayload: 'Body',
    fields: { headers: 'Headers', destination_address: 'DestinationAddress' },
  });
  expect(fileOf(old).fields).not.toHaveProperty('request_id');
  const traced = surveyed(
    'outbox',
    'id uuid primary key, aggregatetype text, aggregateid text, type text, payload jsonb, tracingspancontext text, at_time timestamptz, timestamp timestamptz default now()',
  );
  expect(fileOf(traced)).toMatchObject({
    preset: 'debezium',
    columnTime: 'timestamp',
    fields: { tracingspancontext: 'tracingspancontext' },
  });
});

test('what a slot does not send is not mapped: generated columns', () => {
  const table = surveyed(
    'outbox',
    'id int primary key, data jsonb, payload jsonb generated, type text generated',
  );
  expect(fileOf(table)).toMatchObject({ columnPayload: 'data', columnType: null });
  expect(warningsOf(table)).toContain('payload, type is generated');
  expect(propose(surveyed('outbox', 'id int primary key, payload jsonb generated'))).toBeNull();
});

test('tables that only look like an outbox are below the ones that are', () => {
  const outbox = scoreOf(surveyed('outbox', 'id int primary key, payload jsonb'));
  expect(outbox).toBeGreaterThanOrEqual(SCORE_SHOWN_MIN);
  const store =
    'id int primary key, aggregate_type text, aggregate_id uuid, event_type text, version int, payload jsonb';
  for (const [name, columns] of [
    ['users', 'id int primary key, name text, data jsonb, created_at timestamptz, status text'],
    [
      'products',
      'id int primary key, key text, name text, content text, status text, created_at timestamptz',
    ],
    ['orders', 'id int primary key, type text, data jsonb, created_at timestamptz, status text'],
    ['audit_log', `${store}, created_at timestamptz`],
    ['processed_messages', 'id uuid primary key, type text, payload jsonb'],
    ['message_archive', store],
    ['job_locks', 'id int primary key, payload jsonb'],
    [
      'OutboxState',
      'OutboxId uuid primary key, RowVersion bytea, Created timestamptz, Delivered timestamptz',
    ],
  ] as const)
    expect([name, scoreOf(surveyed(name, columns))]).toEqual([
      name,
      expect.toSatisfy((score) => score < SCORE_SHOWN_MIN),
    ]);
  expect(scoreOf(surveyed('inbox', `${store}, processed_at timestamptz`))).toBeLessThan(
    scoreOf(surveyed('outbox', `${store}, processed_at timestamptz`)),
  );
  expect(scoreOf(surveyed('events', store))).toBeLessThan(
    scoreOf(surveyed('shop_outbox', 'uuid uuid primary key, topic text, message_type text, body jsonb')),
  );
});

test('tables whose rows are in no WAL can’t be relayed', () => {
  const columns = 'id int primary key, payload jsonb';
  expect(findObstacle(propose(surveyed('outbox', columns))!)).toBeNull();
  expect(findObstacle(propose(surveyed('outbox', columns, { isUnlogged: true }))!)).toContain('SET LOGGED');
  expect(findObstacle(propose(surveyed('outbox', columns, { kind: 'f' }))!)).toContain('foreign table');
});

test('what nobody keeps unique, what may be NULL and what is there already is said', () => {
  const loose = surveyed('outbox', 'id int, topic text, payload jsonb', { rowEstimate: 1234 });
  expect(warningsOf(loose)).toContain('no primary key');
  expect(warningsOf(loose)).toContain('nothing keeps id unique');
  expect(warningsOf(loose)).toContain('topic may be NULL');
  expect(warningsOf(loose)).toContain('rows are there already (about 1,234)');
  const tight = surveyed(
    'outbox',
    'id int primary key, topic text not null, payload jsonb, at timestamptz default now()',
  );
  expect(warningsOf(tight)).toBe(
    'there is no time column: audits of a time range and replay --from need a time that Postgres fills',
  );
});

test.each(PRESET_NAMES)(
  'the preset %s is itself: its settings load, and name columns that its table has',
  (name) => {
    const preset = findPreset(name)!;
    const [outbox] = settingsOfFile(`preset: ${name}\n`).outboxes;
    const known = [...Object.keys(preset.required), ...preset.optional];
    const {
      columnId,
      columnType,
      columnAggregateType,
      columnAggregateId,
      columnPayload,
      columnTime,
      fields,
    } = outbox!;
    const columns = [
      ...[...columnId, columnType, columnAggregateType, columnAggregateId, columnPayload, columnTime].filter(
        (column) => column !== null,
      ),
      ...Object.values(fields),
    ];
    expect(columns.filter((column) => !known.includes(column))).toEqual([]);
  },
);

test('the file of any proposal loads, whatever the table and its columns are called', () => {
  const name = fc
    .oneof(
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
      fc.constantFrom(
        'none',
        'null',
        'true',
        '1',
        ' id ',
        'ID',
        'pay"load',
        'a,b',
        "trace'parent",
        'type: x',
        '#',
        'Topic',
      ),
    )
    .filter((text) => !text.includes('\0') && Buffer.byteLength(text) <= 63);
  const column = fc.record({
    name: fc.oneof(
      name,
      fc.constantFrom('id', 'payload', 'headers', 'traceparent', 'trace\tparent', 'type', 'created_at'),
    ),
    type: fc.constantFrom('bigint', 'uuid', 'text', 'jsonb', 'bytea', 'timestamp with time zone', 'point'),
    isNotNull: fc.boolean(),
    isGenerated: fc.boolean(),
    default: fc.constantFrom(null, 'now()'),
  });
  fc.assert(
    fc.property(
      name,
      name,
      fc.uniqueArray(column, { selector: (one) => one.name, minLength: 2, maxLength: 8 }),
      fc.nat({ max: 3 }),
      (schema, table, columns, keys) => {
        const whole = surveyed(table, 'id int', {
          schema,
          columns: columns.map((one) => ({ ...one, declaredType: one.type })),
          primaryKey: columns.slice(0, keys).map((one) => one.name),
        });
        const proposal = propose(whole);
        if (proposal === null) return;
        const outbox = fileOf(whole);
        expect(outbox.table).toEqual({ schema, name: table });
        const names = columns.filter((one) => !one.isGenerated).map((one) => one.name);
        for (const used of [...outbox.columnId, outbox.columnPayload, ...Object.values(outbox.fields)])
          expect(names).toContain(used);
        findWarnings(proposal, outbox);
      },
    ),
    { numRuns: 500 },
  );
});
