import type { ValueKind, ValueKinds } from '../core/entry-shape.ts';
import { WalrelayError } from '../core/walrelay-error.ts';

/** Which columns of an outbox table the relay reads. */
export interface OutboxColumns {
  /** The number of the outbox. */
  readonly outbox: number;
  /** What errors call it. */
  readonly name: string;
  /** Column names by slot, each once. */
  readonly names: readonly string[];
  /** Slots whose value is handed on as its bytes where the column is a bytea. */
  readonly binarySlots: readonly number[];
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

/** How the tuples of one relation are read: compiled once per Relation message. */
export interface TuplePlan {
  /** The number of the outbox that its rows are events of. */
  readonly outbox: number;
  /** For each column of the tuple, the slot it fills, or −1. */
  readonly slotOfColumn: Int16Array;
  /** Slots whose hex becomes bytes. */
  readonly byteaSlots: readonly number[];
  readonly kinds: ValueKinds;
}

/** Throws COLUMN_MISSING when the table no longer has a column that is mapped. */
export function compilePlan(wanted: OutboxColumns, relation: Relation): TuplePlan {
  const slotOfColumn = new Int16Array(relation.columns.length).fill(-1);
  const byteaSlots: number[] = [];
  const missing: string[] = [];
  const kinds: ValueKind[] = [];
  wanted.names.forEach((name, slot) => {
    const index = relation.columns.findIndex((column) => column.name === name);
    if (index === -1) missing.push(name);
    // Each column has one slot; here the first would keep the value of some earlier row.
    else if (slotOfColumn[index] !== -1) throw new WalrelayError('BUG', `the column ${name} fills two slots`);
    else {
      slotOfColumn[index] = slot;
      const typeOid = relation.columns[index]?.typeOid;
      const isBytes = typeOid === BYTEA_OID && wanted.binarySlots.includes(slot);
      if (isBytes) byteaSlots.push(slot);
      kinds[slot] = isBytes ? 'bytes' : typeOid === JSON_OID || typeOid === JSONB_OID ? 'json' : 'text';
    }
  });
  if (missing.length > 0) {
    const has = relation.columns.map((column) => column.name).join(', ');
    const table = `${relation.schema}.${relation.table}`;
    throw new WalrelayError(
      'COLUMN_MISSING',
      `the table ${table} sends no column ${missing.join(', ')}; it sends: ${has}`,
      { facts: { outbox: wanted.name, table, missing: missing.join(', ') } },
    );
  }
  return { outbox: wanted.outbox, slotOfColumn, byteaSlots, kinds };
}

/** https://www.postgresql.org/docs/current/catalog-pg-type.html */
const BYTEA_OID = 17;
const JSON_OID = 114;
const JSONB_OID = 3802;
