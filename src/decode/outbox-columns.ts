import { WalrelayError } from '../core/walrelay-error.ts';

/** The columns every event has, by role. Their order is the order of the decoder's slots. */
export const ROLE = { id: 0, type: 1, aggregateType: 2, aggregateId: 3, payload: 4 } as const;
export const ROLE_COUNT = 5;

/**
 * Which columns of the outbox table the relay reads: one slot for each role, then one for each further column
 * that the stream template names.
 */
export interface OutboxColumns {
  /** Column names by slot; the first ROLE_COUNT are the roles. */
  readonly names: readonly string[];
}

export interface RelationColumn {
  readonly name: string;
  readonly typeOid: number;
}

/** What a Relation message announced. */
export interface Relation {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly RelationColumn[];
}

/**
 * Compiled once per Relation message: for each column of the tuple, the slot it fills, or −1.
 * Throws COLUMN_MISSING when the table no longer has a column that is mapped.
 */
export function compileColumns(wanted: OutboxColumns, relation: Relation): Int16Array {
  const slotOfColumn = new Int16Array(relation.columns.length).fill(-1);
  const missing: string[] = [];
  wanted.names.forEach((name, slot) => {
    const index = relation.columns.findIndex((column) => column.name === name);
    if (index === -1) missing.push(name);
    // The settings refuse it; here the first slot would keep the value of some earlier row.
    else if (slotOfColumn[index] !== -1) throw new WalrelayError('BUG', `the column ${name} fills two slots`);
    else slotOfColumn[index] = slot;
  });
  if (missing.length > 0) {
    const has = relation.columns.map((column) => column.name).join(', ');
    throw new WalrelayError(
      'COLUMN_MISSING',
      `the table ${relation.schema}.${relation.table} sends no column ${missing.join(', ')}; it sends: ${has}`,
      { facts: { table: `${relation.schema}.${relation.table}`, missing: missing.join(', ') } },
    );
  }
  return slotOfColumn;
}
