import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openEntry } from '../../../src/audit/open-entry.ts';
import {
  DEBEZIUM_CONVERTERS,
  type EntryFormat,
  type OutboxMapping,
} from '../../../src/core/outbox-mapping.ts';
import { compileOutbox, rolesOf } from '../../../src/route/outbox.ts';
import { AWKWARD_FIELDS, AWKWARD_ROWS, json, text } from '../../support/awkward-rows.ts';
import {
  type ColumnValue,
  type ComposedEntry,
  relayedEntry,
  republishedEntry,
} from '../../support/composed-entry.ts';
import { NATIVE_OUTBOX } from '../../support/native-outbox.ts';
import { thrownCode } from '../thrown-code.ts';

function outboxOf(format: EntryFormat, mapping: Partial<OutboxMapping> = {}) {
  const hasFields = format !== 'raw' && format !== 'debezium-compact';
  return compileOutbox(
    {
      ...NATIVE_OUTBOX.mapping,
      format,
      fields: hasFields ? AWKWARD_FIELDS : {},
      staticFields: hasFields ? { region: 'e"u' } : {},
      stream: 'events',
      ...mapping,
    },
    { metaKey: 'walrelay:walrelay', deadLetterStream: 'walrelay:walrelay:dead-letters' },
  );
}

const GOLDEN: readonly { name: string; format: EntryFormat; mapping?: Partial<OutboxMapping> }[] = [
  { name: 'native', format: 'native' },
  { name: 'cloudevents-structured', format: 'cloudevents-structured' },
  { name: 'cloudevents-binary', format: 'cloudevents-binary' },
  ...DEBEZIUM_CONVERTERS.flatMap((debeziumConverter) => [
    { name: `debezium.${debeziumConverter}`, format: 'debezium' as const, mapping: { debeziumConverter } },
    {
      name: `debezium-compact.${debeziumConverter}`,
      format: 'debezium-compact' as const,
      mapping: { debeziumConverter },
    },
  ]),
  { name: 'raw', format: 'raw' },
];

/** Written anew by `npx vitest run --project unit -u test/unit/route/entry-format.test.ts`; read what has changed. */
test.each(GOLDEN)('$name: the golden entries', async ({ name, format, mapping }) => {
  const outbox = outboxOf(format, mapping);
  const all = Object.entries(AWKWARD_ROWS).map(([odd, row]) => ({
    row: odd,
    relayed: shown(relayedEntry(outbox, row)),
    'read from the table': shown(republishedEntry(outbox, row)),
  }));
  await expect(`${JSON.stringify(all, null, 2)}\n`).toMatchFileSnapshot(
    `../../fixtures/formats/${name}.json`,
  );
});

describe('whatever the format', () => {
  const anyText = fc.string({ unit: 'grapheme-composite', maxLength: 30 });
  const anyRow = fc.record({
    id: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
    type: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
    key: fc.option(anyText),
    trace: fc.option(anyText),
    payload: fc.oneof(
      fc.jsonValue().map((value) => json(JSON.stringify(value, null, 1))),
      anyText.map(text),
      fc
        .uint8Array({ maxLength: 40 })
        .map((value) => ({ bytes: Buffer.from(value), kind: 'bytes' as const })),
      fc.constant<ColumnValue>({ bytes: null, kind: 'text' }),
    ),
  });
  const optional = (value: string | null): ColumnValue =>
    value === null ? { bytes: null, kind: 'text' } : text(value);

  test.each(GOLDEN.filter(({ format }) => format !== 'raw' && format !== 'debezium-compact'))(
    '$name: an audit reads in an entry what stood in the row',
    ({ format, mapping }) => {
      const outbox = outboxOf(format, mapping);
      const roles = rolesOf(outbox);
      const nullText = roles.nullText ?? null;
      fc.assert(
        fc.property(anyRow, fc.boolean(), ({ id, type, key, trace, payload }, isRelayed) => {
          const row = {
            id: text(id),
            type: text(type),
            aggregatetype: text('order'),
            aggregateid: optional(key),
            traceparent: optional(trace),
            payload,
          };
          const entry = isRelayed ? relayedEntry(outbox, row) : republishedEntry(outbox, row);
          const { fields } = openEntry({ id: '1-0', fields: asTexts(entry) }, roles);
          const told = (name: string | null) => (name === null ? undefined : (fields[name] ?? null));
          expect(told(roles.id)).toBe(id);
          expect(told(roles.type)).toBe(type);
          expect(told(roles.aggregateId)).toBe(key ?? nullText);
          expect(roles.headers.map(told)).toEqual([trace]);
          const payloadText = payload.bytes?.toString() ?? nullText;
          expect(told(roles.payload)).toBe(roles.payload === null ? undefined : payloadText);
          expect(told(roles.lsn)).toBe(isRelayed ? '16/B374D848' : null);
          expect(told(roles.seq)).toBe(isRelayed ? '12' : null);
          expect(told(roles.committedAt)).toBe(isRelayed ? '2026-09-17T22:40:00.123456Z' : null);
        }),
      );
    },
  );

  test('a structured CloudEvent is one JSON text with each name once, and a json payload byte for byte in it', () => {
    const outbox = outboxOf('cloudevents-structured');
    for (const row of Object.values(AWKWARD_ROWS)) {
      const [[name, event]] = relayedEntry(outbox, row) as [[string, Buffer]];
      expect(name).toBe('data');
      const parsed = JSON.parse(event.toString()) as Record<string, unknown>;
      const names = [
        ...event
          .toString()
          .split(/,"data(?:_base64)?":/)[0]!
          .matchAll(/[{,]"([a-z]+)":/g),
      ];
      expect(names.length).toBeGreaterThan(8);
      expect(new Set(names.map(([, each]) => each)).size).toBe(names.length);
      expect(parsed).toMatchObject({
        specversion: '1.0',
        id: row['id']!.bytes!.toString(),
        source: '/public.outbox',
      });
      expect(dataOf(event, parsed, (row['payload'] as ColumnValue).kind)).toEqual(row['payload']!.bytes);
    }
  });
});

/** The data of a structured event, as a consumer has it; JSON as the bytes that stand there. */
function dataOf(event: Buffer, parsed: Record<string, unknown>, kind: ColumnValue['kind']): Buffer | null {
  const { data, data_base64: base64 } = parsed;
  if (data === undefined && base64 === undefined) return null;
  if (kind === 'bytes') return Buffer.from(String(base64), 'base64');
  if (kind === 'text') return Buffer.from(String(data));
  const member = Buffer.from(',"data":');
  return event.subarray(event.indexOf(member) + member.length, -1);
}

test('the data of a structured event is read back whatever it looks like', () => {
  const outbox = outboxOf('cloudevents-structured');
  const read = Object.values(AWKWARD_ROWS).map((row) => {
    const entry = { id: '1-0', fields: asTexts(relayedEntry(outbox, row)) };
    return openEntry(entry, rolesOf(outbox)).fields['data'];
  });
  expect(read).toEqual(Object.values(AWKWARD_ROWS).map((row) => row['payload']!.bytes?.toString()));
});

test('what somebody else wrote into the stream is left as it is', () => {
  const { roles } = outboxOf('cloudevents-structured').shapes[0]!;
  for (const data of ['', 'no JSON', '[1]', '"data"', '{"id":"1","data":']) {
    const entry = { id: '1-0', fields: { data, more: 'x' } };
    expect(openEntry(entry, roles)).toBe(entry);
  }
  expect(openEntry({ id: '1-0', fields: { id: 'x' } }, roles).fields).toEqual({ id: 'x' });
});

describe('an outbox is refused', () => {
  test.each<[string, EntryFormat, Partial<OutboxMapping>]>([
    ['whose CloudEvents have no type', 'cloudevents-structured', { columnType: null }],
    ['whose attributes have other letters', 'cloudevents-binary', { fields: { tenant_id: 'tenant' } }],
    [
      'whose attributes are those of the specification',
      'cloudevents-binary',
      { fields: { subject: 'tenant' } },
    ],
    ['whose field would be the data', 'cloudevents-structured', { staticFields: { data: 'x' } }],
    ['whose headers are called alike', 'debezium', { fields: { eventtype: 'a' } }],
    ['whose headers are the same in capitals', 'debezium', { fields: { Tenant: 'a', tenant: 'b' } }],
    ['whose raw entries have no room for more', 'raw', { fields: { tenant: 'tenant' } }],
    ['whose raw entries would have nothing', 'raw', { columnPayload: null }],
    ['whose compact entries have no headers', 'debezium-compact', { staticFields: { tenant: 'x' } }],
  ])('%s', (_, format, mapping) => {
    expect(thrownCode(() => outboxOf(format, mapping))).toBe('CONFIG_INVALID');
  });
});

test('an event without id or type is no CloudEvent, and stops the relay; an empty part of an id does not', () => {
  const row = { id: text('1'), type: text('t'), aggregatetype: text('a'), payload: json('1') };
  const one = outboxOf('cloudevents-binary');
  const nothing: ColumnValue = { bytes: null, kind: 'text' };
  for (const odd of [{ id: nothing }, { type: nothing }, { type: text('') }, { id: text('') }])
    expect(thrownCode(() => relayedEntry(one, { ...row, ...odd }))).toBe('EVENT_INCOMPLETE');
  const two = outboxOf('cloudevents-structured', { columnId: ['id', 'version'] });
  expect(thrownCode(() => relayedEntry(two, row))).toBe('EVENT_INCOMPLETE');
  const [[, event]] = relayedEntry(two, { ...row, version: text('') }) as [[string, Buffer]];
  expect(JSON.parse(event.toString())).toMatchObject({ id: '1:' });
});

test('a route can have a format of its own; ids are found only where all have the same', () => {
  const route = {
    when: { type: ['raw'] },
    stream: null,
    trimMaxLength: null,
    isDropped: false,
    staticFields: {},
  };
  const mixed = outboxOf('native', { fields: {}, staticFields: {}, routes: [{ ...route, format: 'raw' }] });
  expect(mixed.shapes.map(({ fields }) => fields.length)).toEqual([1, 8]);
  expect(rolesOf(mixed).id).toBeNull();
  const turned = outboxOf('raw', { routes: [{ ...route, format: 'native' }] });
  expect(turned.shapes.map(({ roles }) => roles.id)).toEqual(['id', null]);
  expect(rolesOf(turned).id).toBeNull();
  const alike = outboxOf('native', { routes: [{ ...route, format: null }] });
  expect(rolesOf(alike).id).toBe('id');
});

test('a bytea column beside the payload is bytes in a native entry, and text in an attribute', () => {
  const mapping = { fields: { blob: 'blob' } };
  const binaryColumns = (format: EntryFormat) => {
    const { binarySlots, columns } = outboxOf(format, mapping);
    return binarySlots.map((slot) => columns[slot]);
  };
  expect(binaryColumns('native')).toEqual(['payload', 'blob']);
  expect(binaryColumns('cloudevents-structured')).toEqual(['payload']);
  expect(binaryColumns('debezium')).toEqual(['payload']);
});

function asTexts(entry: ComposedEntry): Record<string, string> {
  return Object.fromEntries(entry.map(([name, value]) => [name, value.toString()]));
}

/** Bytes that are no text are shown in base64. */
function shown(entry: ComposedEntry): Record<string, string | { base64: string }> {
  return Object.fromEntries(
    entry.map(([name, value]) => {
      const asText = value.toString();
      return [name, Buffer.from(asText).equals(value) ? asText : { base64: value.toString('base64') }];
    }),
  );
}
