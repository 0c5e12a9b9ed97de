import type { EntryShape } from '../core/entry-shape.ts';
import type { FormatParts } from './entry-format.ts';

/** The payload and nothing else; NULL is an empty one, since an entry without a field can't be. Nobody finds it by its id. */
export function rawShape({ mapping, slots }: FormatParts): EntryShape {
  const slot = slots.payload;
  return {
    fields: [
      {
        name: mapping.rawField,
        value: {
          from: 'pieces',
          pieces: [{ if: slot, pieces: [{ slot, as: 'raw' }], otherwise: [] }],
        },
      },
    ],
    roles: NO_ROLES,
    isSingleField: true,
  };
}

export const NO_ROLES: EntryShape['roles'] = {
  id: null,
  type: null,
  aggregateType: null,
  aggregateId: null,
  payload: null,
  lsn: null,
  seq: null,
  committedAt: null,
  headers: [],
};
