export interface TableName {
  readonly schema: string;
  readonly name: string;
}

/** NAMEDATALEN - 1: Postgres cuts longer names silently, and would then look for another table. */
export const IDENTIFIER_BYTES_MAX = 63;

// An unquoted upper-case letter is refused rather than folded: `public.Outbox` means `outbox` to SQL and "Outbox" to
// whoever let an ORM create the table, and only one of the two exists.
const PART = /^(?:([a-z_][a-z0-9_$]*)|"((?:[^"\0]|"")+)")/;

/** `schema.table`, `table` (in public), or with double-quoted parts. Undefined for anything else. */
export function parseTableName(text: string): TableName | undefined {
  const parts: string[] = [];
  let rest = text;
  for (;;) {
    const match = PART.exec(rest);
    if (match === null) return undefined;
    const part = match[1] ?? (match[2] ?? '').replaceAll('""', '"');
    if (!isIdentifier(part)) return undefined;
    parts.push(part);
    rest = rest.slice(match[0].length);
    if (rest === '') break;
    if (!rest.startsWith('.')) return undefined;
    rest = rest.slice(1);
  }
  const [first, second] = parts;
  if (first === undefined || parts.length > 2) return undefined;
  return second === undefined ? { schema: 'public', name: first } : { schema: first, name: second };
}

/** Quotes only what needs it, so that the usual name reads as it was written. */
export function formatTableName(table: TableName): string {
  return [table.schema, table.name].map(formatPart).join('.');
}

/** A name as Postgres stores it, without quotes. */
export function isIdentifier(name: string): boolean {
  return name !== '' && !name.includes('\0') && Buffer.byteLength(name) <= IDENTIFIER_BYTES_MAX;
}

function formatPart(part: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`;
}
