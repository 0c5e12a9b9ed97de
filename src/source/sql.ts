/** Quoting for the statements that take no parameters: replication commands, DDL, the simple protocol. */

/** Always quoted, so that upper case and reserved words mean what they say. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

export interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

export function quoteQualified(name: QualifiedName): string {
  return `${quoteIdentifier(name.schema)}.${quoteIdentifier(name.name)}`;
}

/**
 * The bytes of a column's value as hex, for a database that says nothing about their encoding. `format` writes a value as
 * its output function does, which a cast to text does not for every type.
 */
export function hexOf(column: string): string {
  const name = quoteIdentifier(column);
  return `CASE WHEN ${name} IS NOT NULL THEN encode(textsend(format('%s', ${name})), 'hex') END`;
}
