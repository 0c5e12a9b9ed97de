import { quoteIdentifier } from '../source/sql.ts';
import { KEY_START, NAME_START, namesOfRun, type RunNames, runIdOfKey, runIdOfName } from './bench-names.ts';
import type { ControlPostgres } from './control-postgres.ts';
import type { ControlRedis } from './control-redis.ts';
import { databaseIdentity } from './database-identity.ts';
import { dropSlot } from './drop-slot.ts';

export interface Servers {
  readonly postgres: ControlPostgres;
  readonly redis: ControlRedis;
}

/** What was removed of one run. */
export interface Removed {
  readonly runId: string;
  readonly slots: readonly string[];
  readonly publications: readonly string[];
  readonly schemas: readonly string[];
  readonly keys: number;
}

/** Removes what crashed runs have left; runs that live, here or on another database, are not touched. */
export async function removeLeftovers({ postgres, redis }: Servers): Promise<Removed[]> {
  const removed: Removed[] = [];
  for (const runId of await findRuns({ postgres, redis })) {
    const names = namesOfRun(runId);
    if (!(await tryLock(postgres, names))) continue;
    try {
      const owner = await redis.get(names.markerKey);
      // A run of another database holds its lock there, where we can't see it; its marker is renewed while it lives.
      if (owner !== null && owner !== (await databaseIdentity(postgres))) continue;
      removed.push(await removeRun({ postgres, redis }, names));
    } finally {
      await postgres.query('SELECT pg_advisory_unlock($1, $2)', [...names.lockKeys]);
    }
  }
  return removed;
}

/** Removes everything of one run by its names. Safe to repeat. */
export async function removeRun({ postgres, redis }: Servers, names: RunNames): Promise<Removed> {
  const isOurs = ({ name }: { readonly name: string }) => runIdOfName(name) === names.runId;
  const slots = (await findSlots(postgres)).filter(isOurs).map(({ name }) => name);
  for (const slot of slots) await dropSlot(postgres, slot);
  const publications = (await findPublications(postgres)).filter(isOurs).map(({ name }) => name);
  for (const name of publications)
    await postgres.query(`DROP PUBLICATION IF EXISTS ${quoteIdentifier(name)}`);
  const schemas = (await findSchemas(postgres)).filter(isOurs).map(({ name }) => name);
  for (const name of schemas) await endBackendsIn(postgres, name);
  for (const name of schemas) await postgres.query(`DROP SCHEMA IF EXISTS ${quoteIdentifier(name)} CASCADE`);
  const keys = await redis.removeFrom(names.keyPrefix);
  return { runId: names.runId, slots, publications, schemas, keys };
}

async function findRuns({ postgres, redis }: Servers): Promise<string[]> {
  const found = [
    await findSlots(postgres),
    await findPublications(postgres),
    await findSchemas(postgres),
  ].flat();
  const runIds = new Set(found.map(({ name }) => runIdOfName(name)));
  for await (const keys of redis.keysFrom(KEY_START)) {
    for (const key of keys) runIds.add(runIdOfKey(key));
  }
  return [...runIds].filter((runId) => runId !== undefined).sort();
}

/** Of a killed run: a backend works on until it notices that nobody listens, and holds the table. */
async function endBackendsIn(postgres: ControlPostgres, schema: string): Promise<void> {
  await postgres.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE pid <> pg_backend_pid() AND starts_with(application_name, 'walrelay') AND pid IN (
       SELECT l.pid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = $1 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))`,
    [schema],
  );
}

/** False when somebody holds it: that run lives. */
async function tryLock(postgres: ControlPostgres, { lockKeys }: RunNames): Promise<boolean> {
  const [row] = await postgres.query<{ isFree: boolean }>('SELECT pg_try_advisory_lock($1, $2) AS "isFree"', [
    ...lockKeys,
  ]);
  return row?.isFree === true;
}

async function findSlots(postgres: ControlPostgres): Promise<{ name: string }[]> {
  // A slot of another database is for the bench of that database.
  return await postgres.query<{ name: string }>(
    'SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database() AND starts_with(slot_name, $1)',
    [NAME_START],
  );
}

async function findPublications(postgres: ControlPostgres): Promise<{ name: string }[]> {
  return await postgres.query<{ name: string }>(
    'SELECT pubname AS name FROM pg_publication WHERE starts_with(pubname, $1)',
    [NAME_START],
  );
}

async function findSchemas(postgres: ControlPostgres): Promise<{ name: string }[]> {
  return await postgres.query<{ name: string }>(
    'SELECT nspname AS name FROM pg_namespace WHERE starts_with(nspname, $1)',
    [NAME_START],
  );
}
