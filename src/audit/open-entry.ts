import type { EntryRoles } from '../core/entry-shape.ts';
import type { StreamEntry } from '../sink/stream-reader.ts';

/**
 * An entry with its fields as `roles` name them: those of a CloudEvent are within one field, those of Debezium's JSON
 * converter in quotes. What is not of that form stays as it is: somebody else's.
 */
export function openEntry(entry: StreamEntry, { reading = 'plain' }: EntryRoles): StreamEntry {
  if (reading === 'plain') return entry;
  if (reading === 'json') return { id: entry.id, fields: mapFields(entry.fields, unquote) };
  const { [reading.field]: text, ...beside } = entry.fields;
  const event = text === undefined ? null : readCloudEvent(text);
  return event === null ? entry : { id: entry.id, fields: { ...event, ...beside } };
}

/**
 * The attributes of an event that Walrelay wrote, and its data as it was in the table. Not parsed as a whole: the data would
 * not come out as it stands, and is the last member. A quote within a text is escaped, so the first time that its name
 * stands there in quotes, it is its name.
 */
export function readCloudEvent(text: string): Record<string, string> | null {
  const at = DATA_MEMBERS.map((member) => text.indexOf(member));
  const [plain = -1, base64 = -1] = at;
  const isPlain = plain !== -1;
  const start = isPlain ? plain : base64;
  const attributes = parse(start === -1 ? text : `${text.slice(0, start)}}`);
  if (typeof attributes !== 'object' || attributes === null || !text.endsWith('}')) return null;
  const fields = mapFields(attributes as Record<string, unknown>, (value) =>
    typeof value === 'string' ? value : null,
  );
  if (start === -1) return fields;
  const data = text.slice(start + (DATA_MEMBERS[isPlain ? 0 : 1] as string).length, -1);
  const value = isPlain && fields['datacontenttype'] === 'application/json' ? data : unquote(data);
  if (value === null) return null;
  return { ...fields, data: isPlain ? value : Buffer.from(value, 'base64').toString() };
}

const DATA_MEMBERS = [',"data":', ',"data_base64":'] as const;

/** Fields of no value are left out. */
function mapFields<T>(
  fields: Readonly<Record<string, T>>,
  map: (value: T) => string | null,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => {
      const mapped = map(value);
      return mapped === null ? [] : [[name, mapped]];
    }),
  );
}

/** The text that a JSON string stands for; anything else as it is, and null for null. */
function unquote(text: string): string | null {
  if (text === 'null') return null;
  if (!text.startsWith('"')) return text;
  const value = parse(text);
  return typeof value === 'string' ? value : text;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
