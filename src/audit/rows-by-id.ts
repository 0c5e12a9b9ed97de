import { idSql } from '../source/row-values.ts';
import { quoteIdentifier } from '../source/sql.ts';
import type { AuditedTable } from './audited-table.ts';
import type { ReadingConnection } from './reading-connection.ts';

/** The condition that a row has one of the ids of `$1`, an array of texts: of the column's own type, so that its index is used. */
export function hasIdSql(table: AuditedTable): string {
  const { columnId } = table.outbox.mapping;
  const [first, ...others] = columnId;
  const [type, ...otherTypes] = table.idTypes;
  const column = quoteIdentifier(first ?? '');
  if (others.length === 0 && otherTypes.length === 0) return `${column} = ANY ($1::text[]::${type}[])`;
  const isId = `${idSql(columnId)} = ANY ($1::text[])`;
  // What has no colon of its own narrows the search down, by its index.
  return TYPES_WITHOUT_COLON.includes(type ?? '')
    ? `${column} = ANY (ARRAY(SELECT split_part(id, ':', 1)::${type} FROM unnest($1::text[]) id)) AND ${isId}`
    : isId;
}

const TYPES_WITHOUT_COLON: readonly string[] = ['smallint', 'integer', 'bigint', 'uuid'];

/** How many rows there are of each id, now. */
export async function countRowsOfIds(
  connection: ReadingConnection,
  table: AuditedTable,
  ids: readonly string[],
): Promise<ReadonlyMap<string, number>> {
  const id = idSql(table.outbox.mapping.columnId);
  const counts = new Map<string, number>();
  for (let at = 0; at < ids.length; at += IDS_PER_QUERY) {
    const rows = await connection.rows(
      `SELECT ${id}, count(*) FROM ${table.name} WHERE ${hasIdSql(table)} GROUP BY 1`,
      [ids.slice(at, at + IDS_PER_QUERY)],
    );
    for (const [name, count] of rows) counts.set(name ?? '', Number(count));
  }
  return counts;
}

export const IDS_PER_QUERY = 500;
