import { z } from 'zod';
import { ENTRY_FORMATS, type EntryFormat, type RouteMapping } from '../core/outbox-mapping.ts';
import { streamTemplate } from './setting-kind.ts';
import { isIdentifier } from './table-name.ts';
import { TRIM_LENGTH } from './trim-settings.ts';

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
  routes: routesSetting(),
};

export type StructuredKey = keyof typeof structuredShape;
export type StructuredValues = {
  readonly [Key in StructuredKey]: z.output<(typeof structuredShape)[Key]['schema']>;
};

/** What applies where nobody says anything. */
export const STRUCTURED_DEFAULTS: StructuredValues = { fields: {}, staticFields: {}, routes: [] };

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
  'redriven_at',
  'snapshot_at',
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

function routesSetting(): StructuredSetting<readonly RouteMapping[]> {
  const accepts =
    'a list of routes, each with when (columns with their values) and stream, format, trimMaxLength, staticFields or drop: true';
  const schema = z.unknown().transform((raw, context): readonly RouteMapping[] => {
    const refuse = (message: string) => {
      context.addIssue({ code: 'custom', message });
      return z.NEVER;
    };
    if (!Array.isArray(raw) || raw.length > ROUTES_MAX) return refuse(accepts);
    return raw.map((item: unknown, index) =>
      readRoute(item, (why) => refuse(`${accepts}; the one at ${index} ${why}`)),
    );
  });
  return {
    schema,
    accepts,
    description: 'Where events go, or that they are left out: the first route whose `when` fits decides.',
  };
}

function readRoute(item: unknown, refuse: (why: string) => never): RouteMapping {
  if (!(item instanceof Map)) return refuse('is no map');
  const unknown = [...item.keys()].find((key) => !ROUTE_KEYS.includes(String(key)));
  if (unknown !== undefined) return refuse('has a key that is none of these');
  const [when, stream, format, drop] = ['when', 'stream', 'format', 'drop'].map(
    (key) => item.get(key) as unknown,
  );
  if (!(when instanceof Map) || when.size === 0) return refuse('has no when');
  const conditions: [string, (string | null)[]][] = [];
  for (const [column, value] of when) {
    const values: unknown[] = Array.isArray(value) ? value : [value];
    const texts = values.map((one) => (typeof one === 'number' ? String(one) : one));
    if (values.length === 0 || !texts.every((one) => one === null || typeof one === 'string'))
      return refuse('has a condition that is no text, number or null, nor a list of them');
    conditions.push([String(column), texts]);
  }
  if (stream !== undefined && !streamTemplate().schema.safeParse(stream).success)
    return refuse('has no proper stream');
  const isFormat = (value: unknown): value is EntryFormat => ENTRY_FORMATS.some((known) => known === value);
  if (format !== undefined && !isFormat(format))
    return refuse(`has a format that is none of ${ENTRY_FORMATS.join(', ')}`);
  if (drop !== undefined && drop !== true) return refuse('has a drop other than true');
  if (drop === true && [...item.keys()].some((key) => key !== 'when' && key !== 'drop'))
    return refuse('has drop and more than when');
  const length = item.has('trimMaxLength') ? TRIM_LENGTH.schema.safeParse(item.get('trimMaxLength')) : null;
  if (length?.success === false) return refuse(`has a trimMaxLength that is not ${TRIM_LENGTH.accepts}`);
  const fields = item.has('staticFields')
    ? structuredShape.staticFields.schema.safeParse(item.get('staticFields'))
    : null;
  if (fields?.success === false)
    return refuse(`has staticFields: expected ${fields.error.issues[0]?.message ?? ''}`);
  return {
    when: Object.fromEntries(conditions),
    stream: typeof stream === 'string' ? stream : null,
    format: format ?? null,
    trimMaxLength: length?.data ?? null,
    isDropped: drop === true,
    staticFields: fields?.data ?? {},
  };
}

const ROUTES_MAX = 50;
const ROUTE_KEYS: readonly string[] = ['when', 'stream', 'format', 'trimMaxLength', 'staticFields', 'drop'];

function isFieldName(name: string): boolean {
  return name !== '' && Buffer.byteLength(name) <= FIELD_NAME_BYTES_MAX && !/\p{Cc}/u.test(name);
}
