import type { ColumnValue } from './composed-entry.ts';

/** Rows that a format may stumble over, by what is odd about each. Columns as in AWKWARD_MAPPING. */
export const AWKWARD_ROWS: Readonly<Record<string, Readonly<Record<string, ColumnValue>>>> = {
  'a json payload, as Postgres renders it': row({ payload: json('{"total": 12.50, "items": [1, 2]}') }),
  'duplicate keys, odd white space and an escape, as json keeps them': row({
    payload: json(String.raw`{ "a":1,"a" :{"a":[ null , {"a":"\u00e9\/"}]} }` + '\n'),
  }),
  'a number beyond 2^53, and 2^63': row({
    id: text('9223372036854775808'),
    payload: json('{"n": 9007199254740993, "m": 9223372036854775808, "e": 1.10}'),
  }),
  'the JSON null': row({ payload: json('null') }),
  'a JSON string that looks like an envelope': row({
    payload: json(String.raw`{"data":1,"x":"\",\"data\":2","data_base64":"AA=="}`),
  }),
  'no payload (NULL): a tombstone': row({ payload: { bytes: null, kind: 'json' } }),
  'an empty text': row({ payload: text('') }),
  'a text that is no JSON, with quotes, a backslash and controls': row({
    payload: text('he said "no\\yes"\u0001\t\r\n\u001f\u007f'),
  }),
  'U+2028, U+2029 and what lies outside of the BMP': row({
    type: text('line\u2028type'),
    payload: text('a\u2028b\u2029c😀é'),
  }),
  'bytes that are no UTF-8': row({ payload: bytes('ff00fe80c3280a22') }),
  'no bytes at all': row({ payload: bytes('') }),
  'quotes and backslashes in id, type and key': row({
    id: text('"7","data":{'),
    type: text('ty"pe\\'),
    aggregateid: text('O"-1\n'),
  }),
  'NULL for whatever may be NULL': row({
    aggregateid: { bytes: null, kind: 'text' },
    traceparent: { bytes: null, kind: 'text' },
    payload: { bytes: null, kind: 'text' },
  }),
};

/** The part of a mapping that these rows go with. */
export const AWKWARD_FIELDS = { traceparent: 'traceparent' } as const;

export function text(value: string): ColumnValue {
  return { bytes: Buffer.from(value), kind: 'text' };
}

export function json(value: string): ColumnValue {
  return { bytes: Buffer.from(value), kind: 'json' };
}

function bytes(hex: string): ColumnValue {
  return { bytes: Buffer.from(hex, 'hex'), kind: 'bytes' };
}

function row(odd: Readonly<Record<string, ColumnValue>>): Readonly<Record<string, ColumnValue>> {
  return {
    id: text('4711'),
    type: text('order.created'),
    aggregatetype: text('order'),
    aggregateid: text('O-1'),
    traceparent: text('00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'),
    payload: json('{"a": 1}'),
    ...odd,
  };
}
