import { z } from 'zod';
import { isIdentifier } from './table-name.ts';

/**
 * Settings that are more than one value: they stand in the file only, at the top (for the one outbox, or as the default of
 * each) or in an item of `outboxes`. docs/mapping.md explains them.
 */
export const structuredShape = {
  fields: mapOf((column) => isIdentifier(column), {
    accepts: 'a map from entry fields to columns',
    description: 'Further entry fields, each with the column that fills it. NULL leaves the field out.',
  }),
  staticFields: mapOf(() => true, {
    accepts: 'a map from entry fields to texts',
    description: 'Further entry fields that say the same in every entry.',
  }),
};

export type StructuredKey = keyof typeof structuredShape;
export type StructuredValues = { readonly [Key in StructuredKey]: Readonly<Record<string, string>> };

/** Fields that an entry has, or may get later: nothing else may be called so. */
const RESERVED_FIELDS: readonly string[] = [
  'id',
  'type',
  'aggregate_type',
  'aggregate_id',
  'payload',
  'lsn',
  'seq',
  'committed_at',
  'recovered_at',
  'replayed_at',
];
const FIELDS_MAX = 100;
const FIELD_NAME_BYTES_MAX = 256;

interface StructuredSetting<T> {
  readonly schema: z.ZodType<T>;
  readonly accepts: string;
  readonly description: string;
}

function mapOf(
  isValue: (text: string) => boolean,
  notes: { readonly accepts: string; readonly description: string },
): StructuredSetting<Readonly<Record<string, string>>> {
  const schema = z.unknown().transform((raw, context): Readonly<Record<string, string>> => {
    const refuse = (message: string) => {
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    };
    if (!(raw instanceof Map)) return refuse(notes.accepts);
    if (raw.size > FIELDS_MAX) return refuse(`${notes.accepts}, ${FIELDS_MAX} at most`);
    const entries: [string, string][] = [];
    for (const [field, value] of raw as Map<unknown, unknown>) {
      const name = String(field);
      if (!isFieldName(name)) {
        refuse(`${notes.accepts}; a field's name has 1 to ${FIELD_NAME_BYTES_MAX} bytes and no controls`);
      } else if (RESERVED_FIELDS.includes(name)) {
        refuse(`${notes.accepts}; ${name} has a meaning of its own and can't be one of them`);
      } else if (typeof value !== 'string' || !isValue(value)) {
        refuse(`${notes.accepts}; ${name} has none`);
      } else {
        entries.push([name, value]);
      }
    }
    return Object.fromEntries(entries);
  });
  return { schema, ...notes };
}

function isFieldName(name: string): boolean {
  return name !== '' && Buffer.byteLength(name) <= FIELD_NAME_BYTES_MAX && !/\p{Cc}/u.test(name);
}
