import type { ValueKinds } from '../core/entry-shape.ts';
import { hexOf, quoteIdentifier } from './sql.ts';

/** How the columns of an outbox are read from its table, so that the values are those that a slot would have sent. */
export interface RowValues {
  /** By slot. */
  readonly columns: readonly string[];
  /** For each of them, how its text stands for its bytes. */
  readonly encodings: readonly ('utf8' | 'hex')[];
  readonly kinds: ValueKinds;
  /** The expressions that read them. */
  readonly sql: readonly string[];
}

export interface RowSource {
  readonly columns: readonly string[];
  /** Slots whose value is delivered as its bytes where the column is a bytea. */
  readonly binarySlots: readonly number[];
}

/**
 * `typeOf`: of a column, by its name, as Postgres calls it. `isRaw`: the database says nothing about its bytes (SQL_ASCII), so that values
 * travel as hex.
 */
export function rowValues(
  { columns, binarySlots }: RowSource,
  options: { readonly isRaw: boolean; readonly typeOf: (column: string) => string | undefined },
): RowValues {
  const isBytes = columns.map(
    (column, slot) => binarySlots.includes(slot) && options.typeOf(column) === 'bytea',
  );
  return {
    columns,
    encodings: isBytes.map((bytes) => (bytes || options.isRaw ? 'hex' : 'utf8')),
    kinds: columns.map((column, slot) => {
      if (isBytes[slot] === true) return 'bytes';
      return JSON_TYPES.includes(options.typeOf(column) ?? '') ? 'json' : 'text';
    }),
    sql: columns.map((column, slot) => {
      if (isBytes[slot] === true) return `encode(${quoteIdentifier(column)}, 'hex')`;
      return options.isRaw ? hexOf(column) : quoteIdentifier(column);
    }),
  };
}

const JSON_TYPES: readonly string[] = ['json', 'jsonb'];

/** The same id, as the encoding of the connection wants it. */
export function idValueSql(columns: readonly string[], { isRaw }: { readonly isRaw: boolean }): string {
  const [only] = columns;
  if (!isRaw) return idSql(columns);
  if (columns.length === 1 && only !== undefined) return hexOf(only);
  return `encode(textsend(${idSql(columns)}), 'hex')`;
}

/** The id of a row as its entry has it: that of several columns is joined with colons, and NULL where one of them is. */
export function idSql(columns: readonly string[]): string {
  const names = columns.map(quoteIdentifier);
  const [only] = names;
  if (names.length === 1 && only !== undefined) return only;
  const isThere = names.map((name) => `${name} IS NOT NULL`).join(' AND ');
  return `CASE WHEN ${isThere} THEN format('${names.map(() => '%s').join(':')}', ${names.join(', ')}) END`;
}
