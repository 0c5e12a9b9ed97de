import { readdirSync } from 'node:fs';
import { compareRows, type Row } from './row.ts';

const ROWS = new URL('rows/', import.meta.url);

/** Every file in `rows/` exports `rows`. */
export async function loadRows(): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const file of readdirSync(ROWS).filter((name) => name.endsWith('.ts'))) {
    const module = (await import(new URL(file, ROWS).href)) as { readonly rows?: readonly Row[] };
    if (module.rows === undefined) throw new Error(`test/campaign/rows/${file} exports no rows`);
    rows.push(...module.rows);
  }
  const ids = rows.map(({ id }) => id);
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) throw new Error(`two rows are called ${twice}`);
  return rows.sort(compareRows);
}

/** What `--only R8,D4` names: rows, or whole classes (`--only P`). Throws for what there is not. */
export function selectRows(rows: readonly Row[], only: string): readonly Row[] {
  const names = only
    .split(',')
    .map((name) => name.trim().toUpperCase())
    .filter((name) => name !== '');
  const unknown = names.filter((name) => !rows.some((row) => isNamed(row, name)));
  if (unknown.length > 0) throw new UsageError(`no such row: ${unknown.join(', ')}; --list shows them all`);
  return rows.filter((row) => names.some((name) => isNamed(row, name)));
}

/** Of the command line: told without a stack. */
export class UsageError extends Error {}

function isNamed(row: Row, name: string): boolean {
  return row.id === name || row.id.slice(0, 1) === name;
}
