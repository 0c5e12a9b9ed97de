/** What a column's type is good for, told by the name that `format_type` gives it. */
export type ColumnKind =
  | 'uuid'
  | 'integer'
  | 'text'
  | 'json'
  | 'bytes'
  | 'time'
  | 'boolean'
  | 'number'
  | 'other';

export function columnKind(type: string): ColumnKind {
  const plain = type.replace(/\(\d+(?:,\d+)?\)/, '');
  return KINDS[plain] ?? 'other';
}

const KINDS: Readonly<Record<string, ColumnKind>> = {
  uuid: 'uuid',
  smallint: 'integer',
  integer: 'integer',
  bigint: 'integer',
  text: 'text',
  'character varying': 'text',
  character: 'text',
  name: 'text',
  citext: 'text',
  json: 'json',
  jsonb: 'json',
  bytea: 'bytes',
  'timestamp with time zone': 'time',
  'timestamp without time zone': 'time',
  date: 'time',
  boolean: 'boolean',
  numeric: 'number',
  'double precision': 'number',
  real: 'number',
};
