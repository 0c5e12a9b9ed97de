/** Quoting for the statements that take no parameters: replication commands, DDL, the simple protocol. */

/** Always quoted, so that upper case and reserved words mean what they say. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

export interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

export function quoteQualified(name: QualifiedName): string {
  return `${quoteIdentifier(name.schema)}.${quoteIdentifier(name.name)}`;
}
