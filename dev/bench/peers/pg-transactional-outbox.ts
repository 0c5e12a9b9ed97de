import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BenchPlace, Contestant, RunningContestant } from '../../../src/bench/contestant.ts';
import {
  replicationUnavailable,
  setUpSlot,
  tearDownSlot,
} from '../../../src/bench/contestants/slot-set-up.ts';
import { type ControlPostgres, withPostgres } from '../../../src/bench/control-postgres.ts';
import { quoteIdentifier, quoteLiteral } from '../../../src/source/sql.ts';
import { addOutboxColumnsSql, dropOutboxColumnsSql } from './outbox-columns-trigger.ts';
import { PeerProcess } from './peer-process.ts';
import {
  cachedOutboxPackage,
  databaseSetup,
  installOutboxPackage,
  type OutboxPackage,
} from './pg-transactional-outbox-install.ts';
import { isSlotStreaming } from './slot-streaming.ts';

const LISTENER = fileURLToPath(new URL('pg-transactional-outbox-listener.mjs', import.meta.url));
const NEXT_MESSAGES = 'next_outbox_messages';
const CONNECTIONS_MAX = 10;
const POLL_SETTINGS = { nextMessagesPollingIntervalInMs: 10, nextMessagesBatchSize: 50 };
const START_TIMEOUT_MS = 20_000;
const STOP_TIMEOUT_MS = 5_000;

/** One after the other, in commit order; one after the other within an aggregate; by queries. */
export type ListenerMode = 'sequential' | 'segments' | 'polling';

/** What the process of the listener is told. */
export interface ListenerJob {
  readonly mode: ListenerMode;
  readonly packageJson: string;
  /** Whether this version can be told to look again for a row that is not visible yet. */
  readonly isLookupRepeated: boolean;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly applicationName: string;
  readonly connectionsMax: number;
  readonly schema: string;
  readonly table: string;
  readonly keyPrefix: string;
  readonly settings: Readonly<Record<string, string | number>>;
}

/** The npm package pg-transactional-outbox with a handler that appends to Redis. */
export function outboxPackageContestant(options: {
  readonly id: string;
  readonly name: string;
  readonly summary: string;
  readonly mode: ListenerMode;
}): Contestant {
  const { mode, ...facts } = options;
  return {
    ...facts,
    kind: 'peer',
    // Known for sure when `unavailable` has been asked: which one the registry has.
    get version() {
      return cachedOutboxPackage()?.version ?? 'not installed';
    },
    async unavailable(place) {
      const reason = mode === 'polling' ? undefined : await replicationUnavailable(place);
      if (reason !== undefined) return reason;
      const found = await installOutboxPackage(place.signal);
      if (typeof found === 'string') return found;
      // Each collision costs five seconds: as a peer it would be a straw man.
      const isMended = mode !== 'polling' || found.isCurrent;
      return isMended
        ? undefined
        : `npm has ${found.version} here, whose poll collides with its own handlers`;
    },
    async setUp(place) {
      const found = await installed(place);
      await withPostgres(place.databaseUrl, async (postgres) => {
        await postgres.query(addOutboxColumnsSql(place.table));
        if (mode === 'polling') await setUpPolling(postgres, place, found);
      });
      // After the columns: the first row that the slot shows has them.
      if (mode !== 'polling') await setUpSlot(place);
    },
    async tearDown(place) {
      if (mode !== 'polling') await tearDownSlot(place);
      await withPostgres(place.databaseUrl, async (postgres) => {
        if (mode === 'polling') await tearDownPolling(postgres, place);
        await postgres.query(dropOutboxColumnsSql(place.table));
      });
    },
    start: async (place) => await startListener(place, mode),
  };
}

async function startListener(place: BenchPlace, mode: ListenerMode): Promise<RunningContestant> {
  const { dir, isCurrent } = await installed(place);
  const job: ListenerJob = {
    mode,
    packageJson: join(dir, 'package.json'),
    isLookupRepeated: isCurrent,
    databaseUrl: place.databaseUrl,
    redisUrl: place.redisUrl,
    applicationName: applicationName(place),
    connectionsMax: CONNECTIONS_MAX,
    schema: place.table.schema,
    table: place.table.name,
    keyPrefix: place.keyPrefix,
    settings:
      mode === 'polling'
        ? {
            nextMessagesFunctionSchema: place.table.schema,
            nextMessagesFunctionName: NEXT_MESSAGES,
            ...POLL_SETTINGS,
          }
        : { dbPublication: place.name, dbReplicationSlot: place.name },
  };
  const peer = await PeerProcess.start({
    name: 'pg-transactional-outbox',
    command: process.execPath,
    args: [LISTENER],
    cwd: place.dir,
    // By the environment: URLs hold passwords, and everybody may list a process's arguments.
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], LISTENER_JOB: JSON.stringify(job) },
    logFile: join(place.dir, 'pg-transactional-outbox.log'),
    stopTimeoutMs: STOP_TIMEOUT_MS,
  });
  await withPostgres(place.databaseUrl, async (postgres) => {
    const isReady = async () =>
      mode === 'polling' ? await isPolling(postgres, place) : await isSlotStreaming(postgres, place.name);
    await peer.untilReady(isReady, START_TIMEOUT_MS, place.signal);
  });
  return {
    pids: [peer.pid],
    applicationName: job.applicationName,
    ended: peer.ended,
    stop: async () => await peer.stop(),
  };
}

/** Its own function and indexes. Their names come unquoted and in part without a schema, hence the search path. */
async function setUpPolling(
  postgres: ControlPostgres,
  place: BenchPlace,
  found: OutboxPackage,
): Promise<void> {
  const { schema, name } = place.table;
  const names = {
    outboxOrInbox: 'outbox',
    database: '',
    schema,
    table: name,
    listenerRole: '',
    nextMessagesSchema: schema,
    nextMessagesName: NEXT_MESSAGES,
  } as const;
  const setup = databaseSetup(found);
  await postgres.query(`BEGIN; SET LOCAL search_path = ${quoteIdentifier(schema)};
    ${setup.createPollingFunction(names)} ${setup.setupPollingIndexes(names)} COMMIT;`);
}

/** The indexes go with the columns, but for the one on a column of ours. */
async function tearDownPolling(postgres: ControlPostgres, { table }: BenchPlace): Promise<void> {
  const schema = quoteIdentifier(table.schema);
  await postgres.query(
    `DO ${quoteLiteral(`BEGIN
    IF to_regnamespace(${quoteLiteral(schema)}) IS NOT NULL THEN
      DROP FUNCTION IF EXISTS ${schema}.${NEXT_MESSAGES}(integer, integer);
      DROP INDEX IF EXISTS ${schema}.outbox_created_at_idx;
    END IF;
  END`)}`,
  );
}

async function isPolling(postgres: ControlPostgres, place: BenchPlace): Promise<boolean> {
  const found = await postgres.query('SELECT 1 FROM pg_stat_activity WHERE application_name = $1', [
    applicationName(place),
  ]);
  return found.length > 0;
}

async function installed(place: BenchPlace): Promise<OutboxPackage> {
  const found = await installOutboxPackage(place.signal);
  if (typeof found === 'string') throw new Error(found);
  return found;
}

/** Postgres cuts it at 63 bytes. */
function applicationName(place: BenchPlace): string {
  return `${place.name}_listener`;
}
