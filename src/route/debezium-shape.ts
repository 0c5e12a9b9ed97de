import type { EntryField, EntryShape, EntryValue, Piece } from '../core/entry-shape.ts';
import type { DebeziumConverter } from '../core/outbox-mapping.ts';
import type { FormatParts } from './entry-format.ts';
import { idPieces, NATIVE_FIELDS } from './native-shape.ts';
import { NO_ROLES } from './raw-shape.ts';

/**
 * Entries as Debezium Server's Redis sink makes them of what its outbox EventRouter emits, in the message format `extended`:
 * key, value, then the headers with their names in capitals. docs/formats.md names the sources. Behind them stands what a
 * Debezium entry lacks and an audit wants.
 */
export function debeziumShape({ mapping, slots, staticFields }: FormatParts): EntryShape {
  const { debeziumConverter: converter } = mapping;
  const header = (name: string, pieces: readonly Piece[]): EntryField => ({
    name: name.toUpperCase(),
    value: { from: 'pieces', pieces: converter === 'string' ? pieces : quoted(pieces) },
  });
  const ofColumn = (slot: number): Piece[] => [{ slot, as: converter === 'string' ? 'raw' : 'json' }];
  const staticHeader = (text: string) => (converter === 'string' ? text : JSON.stringify(text));
  const nameOf = (slot: number, name: string) => (slot === -1 ? null : name);
  return {
    fields: [
      { name: KEY, value: keyValue(slots.aggregateId, converter) },
      { name: VALUE, value: valueValue(slots.payload, converter) },
      header('id', idPieces(slots, converter === 'string' ? 'raw' : 'json')),
      ...(slots.type === -1 ? [] : [header('eventType', ofColumn(slots.type))]),
      ...slots.headers.map(({ field, slot }) => header(field, ofColumn(slot))),
      ...Object.entries(staticFields).map(
        ([name, text]): EntryField => ({
          name: name.toUpperCase(),
          value: { from: 'constant', text: staticHeader(text) },
        }),
      ),
      { name: NATIVE_FIELDS.lsn, value: { from: 'lsn' } },
      { name: NATIVE_FIELDS.seq, value: { from: 'seq' } },
      { name: NATIVE_FIELDS.committedAt, value: { from: 'committedAt' } },
    ],
    roles: {
      id: 'ID',
      type: nameOf(slots.type, 'EVENTTYPE'),
      // The key of the stream, not of the entry.
      aggregateType: null,
      aggregateId: nameOf(slots.aggregateId, KEY),
      // In quotes, nobody can tell a text from bytes in base64.
      payload: converter === 'string' ? nameOf(slots.payload, VALUE) : null,
      lsn: NATIVE_FIELDS.lsn,
      seq: NATIVE_FIELDS.seq,
      committedAt: NATIVE_FIELDS.committedAt,
      headers: slots.headers.map(({ field }) => field.toUpperCase()),
      ...(converter === 'string' ? { nullText: NULL_TEXT } : { reading: 'json' as const }),
    },
  };
}

/** The message format `compact`: one field, which has the key for its name. Nobody finds an event in it by its id. */
export function compactDebeziumShape({ mapping, slots }: FormatParts): EntryShape {
  const { debeziumConverter: converter } = mapping;
  return {
    fields: [
      {
        name: KEY,
        nameFrom: keyValue(slots.aggregateId, converter),
        value: valueValue(slots.payload, converter),
      },
    ],
    roles: NO_ROLES,
    isSingleField: true,
  };
}

function keyValue(slot: number, converter: DebeziumConverter): EntryValue {
  const pieces = converter === 'string' ? [{ slot, as: 'raw' } as const] : quoted([{ slot, as: 'json' }]);
  return orNull(slot, pieces, converter);
}

function valueValue(slot: number, converter: DebeziumConverter): EntryValue {
  if (converter === 'string') return orNull(slot, [{ slot, as: 'raw' }], converter);
  const text = quoted([{ slot, as: 'json' }]);
  const json: Piece[] = converter === 'expanded-json' ? [{ slot, as: 'raw' }] : text;
  const bytes = quoted([{ slot, as: 'base64' }]);
  return orNull(slot, [{ kindOf: slot, kinds: { text, json, bytes } }], converter);
}

/** A missing key or value is a word of the sink's where the converter makes nothing of it. */
function orNull(slot: number, pieces: readonly Piece[], converter: DebeziumConverter): EntryValue {
  const otherwise: Piece[] = [{ text: converter === 'string' ? NULL_TEXT : 'null' }];
  return { from: 'pieces', pieces: slot === -1 ? otherwise : [{ if: slot, pieces, otherwise }] };
}

function quoted(pieces: readonly Piece[]): Piece[] {
  return [{ text: '"' }, ...pieces, { text: '"' }];
}

const KEY = 'key';
const VALUE = 'value';
/** The default of debezium.sink.redis.null.key and null.value. */
const NULL_TEXT = 'default';
