import { type EntryShape, type EntryValue, isWalFact, type Piece } from '../core/entry-shape.ts';

/**
 * How the events of a relay's shapes are packed: one flat array, the same number of values for each event, whatever its
 * shape. First its code, then (of what comes from the WAL) its LSN and ordinal, then the values of its shape, then nil up
 * to the stride.
 */
export interface PackedShapes {
  readonly shapes: readonly PackedShape[];
  /** Values in front of those of the shape: the code, and the position where there is one. */
  readonly headValues: 1 | 3;
  /** Values of one event. */
  readonly stride: number;
}

export interface PackedShape {
  readonly number: number;
  readonly fields: readonly PackedField[];
  /** What each of its values is: a slot, or COMMITTED_AT, or one of `pieces`, by `pieces[PIECES - source]`. */
  readonly sources: Int16Array;
  readonly pieces: readonly (readonly Piece[])[];
  /** The columns that it is made of. */
  readonly slots: Int16Array;
  /** Whether its entries may have further fields: those that mark what was appended a second way. */
  readonly takesMarks: boolean;
  /** Which of the values is the event's id; −1 where none is. */
  readonly idValue: number;
  /** Its one value is itself a packed list of the entry's names and values: entries that differ, and are few. */
  readonly isLoose: boolean;
}

export interface PackedField {
  readonly name: string;
  /** Instead of the name: its place among the values. */
  readonly nameValue?: number;
  /** Its place among the values, or what stands in the script for it. */
  readonly filledBy: { readonly value: number } | { readonly constant: string } | 'lsn' | 'seq';
}

export const COMMITTED_AT = -1;
/** The first of the pieces; further ones count down. */
export const PIECES = -2;

/** A code is the number of the shape times this, and the number of the stream's key: negative where a value is NULL. */
export const KEYS_PER_CODE = 2048;

/**
 * `hasPosition`: of what comes from the WAL. Fields that only the WAL can fill are left out otherwise. `hasLoose`: behind
 * the shapes comes the loose one.
 */
export function packShapes(
  shapes: readonly EntryShape[],
  { hasPosition, hasLoose = false }: { readonly hasPosition: boolean; readonly hasLoose?: boolean },
): PackedShapes {
  const packed = shapes.map((shape, number) => packShape(shape, number, hasPosition));
  if (hasLoose) packed.push(looseShape(packed.length));
  const headValues = hasPosition ? 3 : 1;
  return {
    shapes: packed,
    headValues,
    stride: headValues + Math.max(0, ...packed.map(({ sources }) => sources.length)),
  };
}

function packShape(shape: EntryShape, number: number, hasPosition: boolean): PackedShape {
  const sources: number[] = [];
  const pieces: (readonly Piece[])[] = [];
  /** A column that fills two fields travels once. */
  const placeOf = (source: number) => {
    const known = sources.indexOf(source);
    return known === -1 ? sources.push(source) - 1 : known;
  };
  const filledBy = (value: EntryValue): PackedField['filledBy'] => {
    switch (value.from) {
      case 'slot':
        return { value: placeOf(value.slot) };
      case 'constant':
        return { constant: value.text };
      case 'pieces':
        return { value: placeOf(PIECES - (pieces.push(value.pieces) - 1)) };
      case 'committedAt':
        return { value: placeOf(COMMITTED_AT) };
      case 'lsn':
      case 'seq':
        return value.from;
    }
  };
  const fields = shape.fields
    .filter(({ value }) => hasPosition || !isWalFact(value))
    .map(({ name, nameFrom, value }): PackedField => {
      const by = nameFrom === undefined ? null : filledBy(nameFrom);
      const nameValue = typeof by === 'object' && by !== null && 'value' in by ? by.value : undefined;
      return { name, ...(nameValue === undefined ? {} : { nameValue }), filledBy: filledBy(value) };
    });
  const id = fields.find(({ name }) => name === shape.roles.id)?.filledBy;
  return {
    number,
    fields,
    sources: Int16Array.from(sources),
    pieces,
    slots: Int16Array.from(new Set([...sources.filter((source) => source >= 0), ...pieces.flatMap(slotsOf)])),
    takesMarks: shape.isSingleField !== true,
    idValue: typeof id === 'object' && 'value' in id ? id.value : -1,
    isLoose: false,
  };
}

function slotsOf(pieces: readonly Piece[]): number[] {
  return pieces.flatMap((piece) => {
    if ('slot' in piece) return [piece.slot];
    if ('if' in piece) return slotsOf([...piece.pieces, ...piece.otherwise]);
    return 'kindOf' in piece ? Object.values(piece.kinds).flatMap(slotsOf) : [];
  });
}

function looseShape(number: number): PackedShape {
  return {
    number,
    fields: [],
    sources: Int16Array.of(0),
    pieces: [],
    slots: Int16Array.of(0),
    takesMarks: false,
    idValue: -1,
    isLoose: true,
  };
}
