/** Splits a script as psql does: at each semicolon that stands in no quotes, dollar quotes or comment. */
export function splitStatements(script: string): string[] {
  const token = /--[^\n]*|\$\$[\s\S]*?\$\$|'(?:[^']|'')*'|"(?:[^"]|"")*"|;|[^;]/g;
  const statements: string[] = [];
  let statement = '';
  for (const [part] of script.matchAll(token)) {
    if (part.startsWith('--')) continue;
    if (part !== ';') {
      statement += part;
      continue;
    }
    statements.push(statement.trim());
    statement = '';
  }
  if (statement.trim() !== '') throw new Error(`no semicolon after ${statement.trim()}`);
  return statements;
}
