/**
 * What an entry of a stream consists of: its fields in their order, each with what fills it. Compiled once, when a relay
 * starts; the scripts are generated from it, so that neither names nor constants travel with an event.
 */
export interface EntryShape {
  readonly fields: readonly EntryField[];
  readonly roles: EntryRoles;
  /** Its entries have this one field and never another: what is appended a second way does not get its mark either. */
  readonly isSingleField?: true;
}

/**
 * Which field says what, for whoever reads entries back (audit, recover, explain, the name of an event in an error). Null:
 * no field holds it as it is, and so nobody reads it.
 */
export interface EntryRoles {
  readonly id: string | null;
  readonly type: string | null;
  readonly aggregateType: string | null;
  readonly aggregateId: string | null;
  readonly payload: string | null;
  readonly lsn: string | null;
  readonly seq: string | null;
  readonly committedAt: string | null;
  /** Columns that stand in fields of their own: the names of the fields. */
  readonly headers: readonly string[];
  /**
   * How an entry's fields are read. plain: as they are · json: each is a JSON text · a field: it holds a CloudEvent, of
   * whose attributes the names above are.
   */
  readonly reading?: 'plain' | 'json' | { readonly field: string };
  /** What stands in payload and aggregateId for NULL; without it, they are left out. */
  readonly nullText?: string;
}

export interface EntryField {
  readonly name: string;
  /** What names the field instead, event by event. It must have a value whatever the event. */
  readonly nameFrom?: EntryValue;
  readonly value: EntryValue;
}

/**
 * slot        the bytes of a column; NULL leaves the field out
 * constant    the same text in every entry
 * pieces      put together for each event; left out when a piece has no value
 * lsn, seq    the event's position
 * committedAt when its transaction was committed, ISO 8601
 *
 * The last three are known only of what comes from the WAL: rows that are read from the table lack them.
 */
export type EntryValue =
  | { readonly from: 'slot'; readonly slot: number }
  | { readonly from: 'constant'; readonly text: string }
  | { readonly from: 'pieces'; readonly pieces: readonly Piece[] }
  | { readonly from: WalFact };

export type WalFact = 'lsn' | 'seq' | 'committedAt';

/**
 * A part of a value that is put together.
 *
 * text   as it stands
 * slot   a column: its bytes, its bytes as the inside of a JSON string, or in base64. NULL: the whole value has none
 * fact   what only the WAL tells. Unknown: the whole value has none
 * if     one list of pieces where the column is not NULL (or the fact is known), else the other
 * kindOf one of three lists, by the type that the column has in this row
 */
export type Piece =
  | { readonly text: string }
  | { readonly slot: number; readonly as: PieceEncoding }
  | { readonly fact: WalFact }
  | {
      readonly if: number | WalFact;
      readonly pieces: readonly Piece[];
      readonly otherwise: readonly Piece[];
    }
  | { readonly kindOf: number; readonly kinds: Readonly<Record<ValueKind, readonly Piece[]>> };

/**
 * What a column's value is, by its type: json and jsonb are JSON as they stand, a bytea (where it is delivered as its bytes)
 * may be anything, everything else is text.
 */
export type ValueKind = 'text' | 'json' | 'bytes';

/** By slot. */
export type ValueKinds = readonly ValueKind[];

export type PieceEncoding = 'raw' | 'json' | 'base64';

/** Whether an entry's field is one that only the WAL can fill. */
export function isWalFact(value: EntryValue): boolean {
  return value.from === 'lsn' || value.from === 'seq' || value.from === 'committedAt';
}
