import type { EntryField, EntryRoles, EntryShape, EntryValue, Piece } from '../core/entry-shape.ts';
import type { FormatParts } from './entry-format.ts';
import { idPieces, idValue } from './native-shape.ts';

/** Where the data of a CloudEvent is: what Dapr calls it in its streams, and reads. */
const DATA_FIELD = 'data';

/**
 * CloudEvents 1.0.2 (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md) in the two modes of its bindings.
 * There is none for Redis Streams: a structured event stands in the field `data`, as Dapr has it; a binary one has its data
 * there and its attributes beside it, named as in the Kafka binding.
 *
 * An event that is read from the table has no time, lsn and seq.
 */
export function structuredCloudEvent({ mapping, slots, staticFields }: FormatParts): EntryShape {
  const { payload } = slots;
  const constant = (name: string, text: string): Piece => ({
    text: `"${name}":${JSON.stringify(text)}`,
  });
  const quoted = (name: string, pieces: readonly Piece[]): Piece[] => [
    { text: `,"${name}":"` },
    ...pieces,
    { text: '"' },
  ];
  const ofColumn = (name: string, slot: number): Piece[] =>
    slot === -1 ? [] : [{ if: slot, pieces: quoted(name, [{ slot, as: 'json' }]), otherwise: [] }];
  const pieces: Piece[] = [
    { text: '{' },
    constant('specversion', SPEC_VERSION),
    ...quoted('id', idPieces(slots, 'json')),
    { text: ',' },
    constant('source', sourceOf(mapping)),
    ...quoted('type', [{ slot: slots.type, as: 'json' }]),
    ...ofColumn('subject', slots.aggregateId),
    {
      if: 'committedAt',
      pieces: [
        ...quoted('time', [{ fact: 'committedAt' }]),
        ...quoted('lsn', [{ fact: 'lsn' }]),
        ...quoted('seq', [{ fact: 'seq' }]),
      ],
      otherwise: [],
    },
    ...ofColumn('aggregatetype', slots.aggregateType),
    ...ofColumn('partitionkey', slots.aggregateId),
    ...slots.headers.flatMap(({ field, slot }) => ofColumn(field, slot)),
    ...Object.entries(staticFields).flatMap(([name, text]): Piece[] => [{ text: ',' }, constant(name, text)]),
    ...(payload === -1 ? [] : [{ if: payload, pieces: dataPieces(payload), otherwise: [] }]),
    { text: '}' },
  ];
  return {
    fields: [{ name: DATA_FIELD, value: { from: 'pieces', pieces } }],
    roles: { ...rolesWith((name) => name, slots), reading: { field: DATA_FIELD } },
  };
}

/** The attribute that says what the data is, and the data: behind everything else, so that it is found by whoever reads. */
function dataPieces(slot: number): Piece[] {
  return [
    {
      kindOf: slot,
      kinds: {
        json: [{ text: `,"datacontenttype":"${CONTENT_TYPES.json}","data":` }, { slot, as: 'raw' }],
        text: [
          { text: `,"datacontenttype":"${CONTENT_TYPES.text}","data":"` },
          { slot, as: 'json' },
          { text: '"' },
        ],
        bytes: [
          { text: `,"datacontenttype":"${CONTENT_TYPES.bytes}","data_base64":"` },
          { slot, as: 'base64' },
          { text: '"' },
        ],
      },
    },
  ];
}

export function binaryCloudEvent({ mapping, slots, staticFields }: FormatParts): EntryShape {
  const { payload } = slots;
  const constant = (name: string, text: string): EntryField => ({
    name: nameInBinary(name),
    value: { from: 'constant', text },
  });
  const ofColumn = (name: string, slot: number): EntryField[] =>
    slot === -1 ? [] : [{ name: nameInBinary(name), value: { from: 'slot', slot } }];
  const contentType: EntryValue = {
    from: 'pieces',
    pieces: [
      // Without data there is no type of it: a piece that has no value takes the others with it.
      { if: payload, pieces: [], otherwise: [{ slot: payload, as: 'raw' }] },
      {
        kindOf: payload,
        kinds: {
          json: [{ text: CONTENT_TYPES.json }],
          text: [{ text: CONTENT_TYPES.text }],
          bytes: [{ text: CONTENT_TYPES.bytes }],
        },
      },
    ],
  };
  return {
    fields: [
      constant('specversion', SPEC_VERSION),
      { name: nameInBinary('id'), value: idValue(slots) },
      constant('source', sourceOf(mapping)),
      ...ofColumn('type', slots.type),
      ...ofColumn('subject', slots.aggregateId),
      { name: nameInBinary('time'), value: { from: 'committedAt' } },
      { name: nameInBinary('lsn'), value: { from: 'lsn' } },
      { name: nameInBinary('seq'), value: { from: 'seq' } },
      ...ofColumn('aggregatetype', slots.aggregateType),
      ...ofColumn('partitionkey', slots.aggregateId),
      ...slots.headers.flatMap(({ field, slot }) => ofColumn(field, slot)),
      ...Object.entries(staticFields).map(([name, text]) => constant(name, text)),
      ...(payload === -1
        ? []
        : [
            { name: 'content-type', value: contentType },
            { name: DATA_FIELD, value: { from: 'slot', slot: payload } as const },
          ]),
    ],
    roles: { ...rolesWith(nameInBinary, slots), payload: payload === -1 ? null : DATA_FIELD },
  };
}

function rolesWith(nameOf: (attribute: string) => string, slots: FormatParts['slots']): EntryRoles {
  const role = (attribute: string, slot: number) => (slot === -1 ? null : nameOf(attribute));
  return {
    id: nameOf('id'),
    type: nameOf('type'),
    aggregateType: role('aggregatetype', slots.aggregateType),
    aggregateId: role('subject', slots.aggregateId),
    payload: role(DATA_FIELD, slots.payload),
    lsn: nameOf('lsn'),
    seq: nameOf('seq'),
    committedAt: nameOf('time'),
    headers: slots.headers.map(({ field }) => nameOf(field)),
  };
}

/** An absolute path, so that it is a URI reference whatever the outbox is called. */
function sourceOf({ cloudEventsSource, name }: FormatParts['mapping']): string {
  return cloudEventsSource === 'auto' ? `/${encodeURIComponent(name)}` : cloudEventsSource;
}

function nameInBinary(attribute: string): string {
  return `ce_${attribute}`;
}

const SPEC_VERSION = '1.0';
const CONTENT_TYPES = {
  json: 'application/json',
  text: 'text/plain; charset=utf-8',
  bytes: 'application/octet-stream',
} as const;
