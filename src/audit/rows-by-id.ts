import { quoteIdentifier } from '../source/sql.ts';
import type { AuditedTable } from './audited-table.ts';
import type { ReadingConnection } from './reading-connection.ts';

/** The condition that a row has one of the ids of `$1`, an array of texts: of the column's own type, so that its index is used. */
export function hasIdSql(table: AuditedTable): string {
  return `${quoteIdentifier(table.columns.names[0] as string)} = ANY ($1::text[]::${table.idType}[])`;
}

/** How many rows there are of each id, now. */
export async function countRowsOfIds(
  connection: ReadingConnection,
  table: AuditedTable,
  ids: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const id = quoteIdentifier(table.columns.names[0] as string);
  const counts = new Map<string, number>();
  for (let at = 0; at < ids.length; at += IDS_PER_QUERY) {
    const rows = await connection.rows(
      `SELECT ${id}, count(*) FROM ${table.name} WHERE ${hasIdSql(table)} GROUP BY ${id}`,
      [ids.slice(at, at + IDS_PER_QUERY)],
    );
    for (const [name, count] of rows) counts.set(name ?? '', Number(count));
  }
  return counts;
}

export const IDS_PER_QUERY = 500;
