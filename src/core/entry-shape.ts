/**
 * What an entry of a stream consists of: its fields in their order, each with what fills it. Compiled once, when a relay
 * starts; the scripts are generated from it, so that neither names nor constants travel with an event.
 */
export interface EntryShape {
  readonly fields: readonly EntryField[];
  readonly roles: EntryRoles;
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
}

export interface EntryField {
  readonly name: string;
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

export const WAL_FACTS: readonly WalFact[] = ['lsn', 'seq', 'committedAt'];

/**
 * A part of a value that is put together.
 *
 * text   as it stands
 * slot   a column: its bytes, its bytes as the inside of a JSON string, or in base64. NULL: the whole value has none
 * fact   what only the WAL tells. Unknown: the whole value has none
 * if     one list of pieces where the column is not NULL (or the fact is known), else the other
 */
export type Piece =
  | { readonly text: string }
  | { readonly slot: number; readonly as: PieceEncoding }
  | { readonly fact: WalFact }
  | {
      readonly if: number | WalFact;
      readonly pieces: readonly Piece[];
      readonly otherwise: readonly Piece[];
    };

export type PieceEncoding = 'raw' | 'json' | 'base64';

/** Whether an entry's field is one that only the WAL can fill. */
export function isWalFact(value: EntryValue): boolean {
  return value.from === 'lsn' || value.from === 'seq' || value.from === 'committedAt';
}
