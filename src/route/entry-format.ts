import type { EntryField, EntryShape } from '../core/entry-shape.ts';
import type { EntryFormat, OutboxMapping } from '../core/outbox-mapping.ts';
import { binaryCloudEvent, structuredCloudEvent } from './cloud-event-shape.ts';
import { compactDebeziumShape, debeziumShape } from './debezium-shape.ts';
import { nativeShape } from './native-shape.ts';
import type { OutboxSlots } from './outbox.ts';
import type { RequiredValue } from './requiring-router.ts';
import { rawShape } from './raw-shape.ts';

/** What a format needs to know of the outbox. */
export interface FormatParts {
  readonly mapping: OutboxMapping;
  readonly slots: OutboxSlots;
  /** Fields that say the same in every entry. */
  readonly staticFields: Readonly<Record<string, string>>;
}

/** The shape of an outbox's entries in a format. docs/formats.md has an example of each. */
export function entryShape(format: EntryFormat, parts: FormatParts): EntryShape {
  switch (format) {
    case 'native':
      return nativeShape(parts.slots, constantFields(parts.staticFields));
    case 'cloudevents-structured':
      return structuredCloudEvent(parts);
    case 'cloudevents-binary':
      return binaryCloudEvent(parts);
    case 'debezium':
      return debeziumShape(parts);
    case 'debezium-compact':
      return compactDebeziumShape(parts);
    case 'raw':
      return rawShape(parts);
  }
}

/** Columns without whose values there is no entry in this format. */
export function requiredValues(format: EntryFormat, { id, type }: OutboxSlots): readonly RequiredValue[] {
  if (!isCloudEvent(format)) return [];
  // Of several columns, one may be empty: their id is not.
  return [...id.map((slot) => ({ slot, mayBeEmpty: id.length > 1 })), { slot: type, mayBeEmpty: false }];
}

/** Why an outbox can't have entries of this format; null when it can. */
export function findFormatFault(
  format: EntryFormat,
  { mapping, slots, staticFields }: FormatParts,
): string | null {
  const names = [...slots.headers.map(({ field }) => field), ...Object.keys(staticFields)];
  const [first] = names;
  if (isCloudEvent(format)) {
    if (slots.type === -1) return 'a CloudEvent has a type, and there is no columnType';
    const odd = names.filter((name) => !/^[a-z0-9]+$/.test(name) || CONTEXT_ATTRIBUTES.includes(name));
    if (odd.length > 0)
      return `attributes of a CloudEvent have names of a-z and 0-9, and not those of others: not ${odd.join(', ')}`;
  } else if (format === 'debezium') {
    const taken = names.map((name) => name.toUpperCase());
    const twice = names.filter(
      (name, place) =>
        DEBEZIUM_NAMES.includes(name.toUpperCase()) || taken.indexOf(name.toUpperCase()) !== place,
    );
    if (twice.length > 0)
      return `headers have their names in capitals, where these are taken: ${twice.join(', ')}`;
  } else if (format !== 'native' && first !== undefined) {
    return `its entries have one field, and so there is none for ${names.join(', ')}`;
  }
  if ((format === 'raw' || format === 'debezium-compact') && mapping.columnPayload === null)
    return 'its entries have nothing but the payload, and there is no columnPayload';
  return null;
}

function isCloudEvent(format: EntryFormat): boolean {
  return format === 'cloudevents-structured' || format === 'cloudevents-binary';
}

function constantFields(staticFields: Readonly<Record<string, string>>): EntryField[] {
  return Object.entries(staticFields).map(([name, text]) => ({ name, value: { from: 'constant', text } }));
}

/** Those of the specification, and those that every CloudEvent here has. */
const CONTEXT_ATTRIBUTES: readonly string[] = [
  'specversion',
  'id',
  'source',
  'type',
  'subject',
  'time',
  'datacontenttype',
  'dataschema',
  'data',
  'aggregatetype',
  'partitionkey',
  'lsn',
  'seq',
];
const DEBEZIUM_NAMES: readonly string[] = ['ID', 'EVENTTYPE'];
