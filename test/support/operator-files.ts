import { readFileSync } from 'node:fs';
import type { Pool } from 'pg';

const ROOT = new URL('../../', import.meta.url);

function read(path: string): string {
  return readFileSync(new URL(path, ROOT), 'utf8');
}

/**
 * Runs postgres/role.sql as psql would: its \if, \getenv and \gexec and its variables, and nothing else of psql. What it
 * doesn't know is an error.
 */
export async function runRoleSql(
  pool: Pool,
  variables: { password: string; database: string },
): Promise<void> {
  const script = read('postgres/role.sql')
    .replace(/^--.*$/gm, '')
    // The password is given, so the way to the environment is not taken.
    .replace(/^\\if :\{\?relay_password\}\n\\else\n[^]*?^\\endif$/m, '')
    .replaceAll(`:'relay_password'`, `'${variables.password.replaceAll("'", "''")}'`)
    .replaceAll(':"DBNAME"', `"${variables.database}"`);
  for (const [, statement = '', end] of script.matchAll(/\s*([^;\\]+?)\s*(;|\\gexec)/g)) {
    const { rows } = await pool.query<Record<string, string>>(statement);
    if (end === ';') continue;
    for (const row of rows) await pool.query(String(Object.values(row)[0]));
  }
  const rest = script.replaceAll(/\s*([^;\\]+?)\s*(;|\\gexec)/g, '').trim();
  if (rest !== '') throw new Error(`not understood in role.sql: ${rest}`);
}

/** The lines of postgres/pg_hba.conf, for another database and network than the ones they name. */
export function hbaLines(place: { database: string; address: string }): string[] {
  return read('postgres/pg_hba.conf')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/\bshop\b/, place.database).replace('10.0.0.0/8', place.address));
}

/** The rules that docs/least-privilege.md gives the Redis user, as they stand there, for other keys. */
export function redisRules(keys: { meta: string; streams: string }): string[] {
  const [, rules] = /^ACL SETUSER walrelay reset on >password (.+)$/m.exec(page()) ?? [];
  if (rules === undefined) throw new Error('the page has no line for the Redis user');
  return rules.split(' ').map((rule) => {
    if (rule === '~walrelay:*') return `~${keys.meta}*`;
    return rule === '~outbox.*' ? `~${keys.streams}*` : rule;
  });
}

/** What a line of the page that holds `needle` grants beside: the rules in backticks that begin with a plus. */
export function furtherRules(needle: string): string[] {
  const line = page()
    .split('\n')
    .find((each) => each.includes(needle));
  const granted = [...(line ?? '').matchAll(/`(\+[^`]+)`/g)].flatMap(([, rules = '']) => rules.split(' '));
  if (granted.length === 0) throw new Error(`no line of the page grants anything for ${needle}`);
  return granted;
}

/** The statements of the page that grant `what`, for another schema, table and role. */
export function grants(what: string): string[] {
  const found = page()
    .split('\n')
    .filter((line) => line.startsWith(`GRANT ${what}`));
  if (found.length === 0) throw new Error(`the page grants no ${what}`);
  return found.map((line) => line.replace(/;.*$/, ''));
}

function page(): string {
  return read('docs/least-privilege.md');
}
