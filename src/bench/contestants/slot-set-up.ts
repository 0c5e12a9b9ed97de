import { createPublicationSql, createSlotSql } from '../../source/setup-sql.ts';
import { quoteIdentifier } from '../../source/sql.ts';
import type { BenchPlace } from '../contestant.ts';
import { withPostgres } from '../control-postgres.ts';
import { dropSlot } from '../drop-slot.ts';

/** What every contestant by replication needs, made as Walrelay makes it. */
export async function setUpSlot(place: BenchPlace): Promise<void> {
  const names = { publication: place.name, slot: place.name, tables: [{ table: place.table }] };
  await withPostgres(place.databaseUrl, async (postgres) => {
    await postgres.query(createPublicationSql(names));
    await postgres.query(createSlotSql(names));
  });
}

export async function tearDownSlot(place: BenchPlace): Promise<void> {
  await withPostgres(place.databaseUrl, async (postgres) => {
    await dropSlot(postgres, place.name);
    await postgres.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(place.name)}`);
  });
}

/** Why nothing can replicate here; undefined when it can. */
export async function replicationUnavailable(place: BenchPlace): Promise<string | undefined> {
  const [found] = await withPostgres(
    place.databaseUrl,
    async (postgres) =>
      await postgres.query<{ walLevel: string; mayReplicate: boolean; free: number }>(
        `SELECT current_setting('wal_level') AS "walLevel",
          (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS "mayReplicate",
          current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots)::int AS free`,
      ),
  );
  if (found === undefined) return 'Postgres says nothing about itself';
  if (found.walLevel !== 'logical') {
    return `wal_level is ${found.walLevel}; ALTER SYSTEM SET wal_level = 'logical', then restart Postgres`;
  }
  if (!found.mayReplicate) return 'the role of DATABASE_URL lacks REPLICATION; ALTER ROLE … REPLICATION';
  if (found.free < 1) return 'no replication slot is free; raise max_replication_slots';
  return undefined;
}
