import type { EntryField, EntryShape, EntryValue, Piece } from '../core/entry-shape.ts';
import type { OutboxSlots } from './outbox.ts';

/** The fields of an entry in the native format, by what they say. */
export const NATIVE_FIELDS = {
  id: 'id',
  type: 'type',
  aggregateType: 'aggregate_type',
  aggregateId: 'aggregate_id',
  payload: 'payload',
  lsn: 'lsn',
  seq: 'seq',
  committedAt: 'committed_at',
} as const;

/** One field for each column, its bytes untouched. A column that is not mapped has no field. */
export function nativeShape(slots: OutboxSlots, constants: readonly EntryField[]): EntryShape {
  const { type, aggregateType, aggregateId, payload, headers } = slots;
  const columns = [
    { role: 'type', slot: type },
    { role: 'aggregateType', slot: aggregateType },
    { role: 'aggregateId', slot: aggregateId },
    { role: 'payload', slot: payload },
  ] as const;
  const mapped = columns.filter(({ slot }) => slot !== -1);
  const nameOf = (slot: number, name: string) => (slot === -1 ? null : name);
  return {
    fields: [
      { name: NATIVE_FIELDS.id, value: idValue(slots) },
      ...mapped.map(
        ({ role, slot }): EntryField => ({ name: NATIVE_FIELDS[role], value: { from: 'slot', slot } }),
      ),
      { name: NATIVE_FIELDS.lsn, value: { from: 'lsn' } },
      { name: NATIVE_FIELDS.seq, value: { from: 'seq' } },
      { name: NATIVE_FIELDS.committedAt, value: { from: 'committedAt' } },
      ...headers.map(({ field, slot }): EntryField => ({ name: field, value: { from: 'slot', slot } })),
      ...constants,
    ],
    roles: {
      ...NATIVE_FIELDS,
      type: nameOf(type, NATIVE_FIELDS.type),
      aggregateType: nameOf(aggregateType, NATIVE_FIELDS.aggregateType),
      aggregateId: nameOf(aggregateId, NATIVE_FIELDS.aggregateId),
      payload: nameOf(payload, NATIVE_FIELDS.payload),
      headers: headers.map(({ field }) => field),
    },
  };
}

/** The id as entries and commands have it: that of several columns is joined with colons. */
export function idValue({ id }: OutboxSlots): EntryValue {
  const [only, ...others] = id;
  if (only !== undefined && others.length === 0) return { from: 'slot', slot: only };
  return { from: 'pieces', pieces: idPieces({ id }, 'raw') };
}

export function idPieces({ id }: Pick<OutboxSlots, 'id'>, as: 'raw' | 'json'): Piece[] {
  return id.flatMap((slot, place): Piece[] => (place === 0 ? [{ slot, as }] : [{ text: ':' }, { slot, as }]));
}
