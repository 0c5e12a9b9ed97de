import type { ControlPostgres } from './control-postgres.ts';

/** Which database of which cluster: what the marker in Redis says about whose keys these are. */
export async function databaseIdentity(postgres: ControlPostgres): Promise<string> {
  const [row] = await postgres.query<{ database: string }>('SELECT current_database() AS database');
  // Not everybody may ask for the system identifier; the oid of the database and its name will do then.
  const sql = `SELECT system_identifier::text AS id FROM pg_control_system()`;
  const [system] = await postgres.query<{ id: string }>(sql).catch(() => [{ id: '' }]);
  return `${system?.id ?? ''}/${row?.database ?? ''}`;
}
