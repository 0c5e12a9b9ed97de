import { type Lsn, parseLsn } from '../core/lsn.ts';
import { type Catalog, type CatalogNames, catalogSql, parseCatalog, WAL_END_SQL } from '../source/catalog.ts';
import type { ReplicationConnection } from '../source/replication-connection.ts';

/** Reads the catalog over a replication connection, before it streams. */
export async function readCatalog(postgres: ReplicationConnection, names: CatalogNames): Promise<Catalog> {
  const [version] = await postgres.query("SELECT current_setting('server_version_num') AS number");
  const [row] = await postgres.query(catalogSql(names, Number(version?.['number'])));
  return parseCatalog(String(row?.['catalog']), names);
}

/** The end of the WAL that is flushed (primary) or replayed (standby), now. */
export async function readWalEnd(postgres: ReplicationConnection): Promise<Lsn> {
  const [row] = await postgres.query(`SELECT ${WAL_END_SQL} AS lsn`);
  return parseLsn(String(row?.['lsn']));
}
