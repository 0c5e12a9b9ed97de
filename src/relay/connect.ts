import type { ClientConfig } from 'pg';
import type { Settings } from '../config/settings.ts';
import { type Catalog, type CatalogNames, catalogSql, parseCatalog } from '../source/catalog.ts';
import type { ReplicationConnection } from '../source/replication-connection.ts';

/** How every connection to Postgres is made. `holder` is what pg_stat_activity shows. */
export function clientConfig(settings: Settings, holder: string): ClientConfig {
  return {
    connectionString: settings.databaseUrl,
    application_name: holder,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
}

/** Reads the catalog over a replication connection, before it streams. */
export async function readCatalog(postgres: ReplicationConnection, names: CatalogNames): Promise<Catalog> {
  const [version] = await postgres.query("SELECT current_setting('server_version_num') AS number");
  const [row] = await postgres.query(catalogSql(names, Number(version?.['number'])));
  return parseCatalog(String(row?.['catalog']));
}

const CONNECT_TIMEOUT_MS = 10_000;
