/**
 * The one table of everything that can go wrong: what must happen next, the exit code, and the general fix.
 * docs/errors.md holds a paragraph for each code; a test compares the two, both ways.
 *
 * retry     end the session, back off with jitter, start a new session from the slot
 * operator  somebody must act; the daemon stops with a named reason and confirms nothing further
 * poison    this event can't pass; the daemon stops in front of it, everything before it is delivered
 * bug       an invariant broke: stop at once, confirm nothing
 * aborted   asked to stop; not an error
 */
export type Disposition = 'retry' | 'operator' | 'poison' | 'bug' | 'aborted';

interface ErrorCodeEntry {
  readonly disposition: Disposition;
  /** The process's exit code when this ends it. A `retry` only ever ends a one-shot command. */
  readonly exitCode: number;
  readonly hint: string;
}

/** Exit codes follow sysexits.h where it has one. */
export const EXIT = {
  ok: 0,
  bug: 70,
  config: 78,
  unavailable: 69,
  database: 65,
  redis: 66,
  history: 67,
  poison: 68,
  findings: 71,
  fenced: 75,
  drainTimeout: 74,
  killed: 130,
} as const;

const retry = (hint: string): ErrorCodeEntry => ({ disposition: 'retry', exitCode: EXIT.unavailable, hint });
const operator = (exitCode: number, hint: string): ErrorCodeEntry => ({
  disposition: 'operator',
  exitCode,
  hint,
});
const poison = (hint: string): ErrorCodeEntry => ({ disposition: 'poison', exitCode: EXIT.poison, hint });

export const ERROR_CODES = {
  // Asked to stop.
  ABORTED: { disposition: 'aborted', exitCode: EXIT.ok, hint: 'Nothing to do.' },
  DRAIN_TIMEOUT: operator(
    EXIT.drainTimeout,
    'Nothing is lost: what was not confirmed is read again. Raise WALRELAY_DRAIN_TIMEOUT_MS if Redis is only slow.',
  ),

  DRAIN_FAILED: operator(
    EXIT.drainTimeout,
    'Nothing is lost: what was not confirmed is read again at the next start.',
  ),

  // Configuration.
  CONFIG_INVALID: operator(
    EXIT.config,
    'Correct the settings named above; `walrelay run --help` lists them all.',
  ),

  SECRET_UNREADABLE: retry('Put the file right; it is read again for the next session.'),

  // Postgres, unreachable or leaving: a new session mends it.
  PG_UNREACHABLE: retry('Check that the host and port of DATABASE_URL answer and that Postgres is up.'),
  PG_CONNECTION_LOST: retry('None needed: a new session starts from the slot.'),
  PG_SHUTDOWN: retry('None needed: the relay reconnects when Postgres is back.'),
  PG_SILENT: retry('Check the network between the relay and Postgres.'),
  PG_BUSY: retry('Free a connection, or raise max_connections / max_wal_senders.'),
  PG_READ_ONLY: retry('None needed when a failover is under way; else point DATABASE_URL at the primary.'),
  PG_STANDBY: retry('None needed during a failover; else point DATABASE_URL at the primary.'),
  SLOT_IN_USE: retry('Another relay holds the slot; this one stands by.'),

  // Postgres, for an operator.
  PG_AUTH: operator(EXIT.database, 'Correct the user or password in DATABASE_URL.'),
  PG_DATABASE_MISSING: operator(EXIT.database, 'Correct the database name in DATABASE_URL.'),
  PG_PRIVILEGE: operator(EXIT.database, 'Grant the relay role what postgres/role.sql grants.'),
  PG_TLS: operator(EXIT.database, 'Check sslmode and the certificates named in DATABASE_URL.'),
  PG_VERSION: operator(EXIT.database, 'Use PostgreSQL 14 or later.'),
  PG_ENCODING: operator(EXIT.database, 'Use a database with the encoding UTF8 or SQL_ASCII.'),
  WAL_LEVEL: operator(EXIT.database, "ALTER SYSTEM SET wal_level = 'logical'; then restart Postgres."),
  TABLE_MISSING: operator(
    EXIT.database,
    'Run `walrelay init --create-table`, or correct the table in the settings.',
  ),
  TABLE_UNSUITABLE: operator(EXIT.database, 'Use an ordinary, logged table as the outbox.'),
  COLUMN_MISSING: operator(
    EXIT.database,
    "Map the column (WALRELAY_COLUMN_…; of several outboxes in the file), or add it: to the table, or to the publication's column list.",
  ),
  COLUMN_UNSUITABLE: operator(EXIT.database, 'Name a column of the kind that the message asks for.'),
  ROWS_NOT_SETTLED: operator(
    EXIT.database,
    'Take away what keeps published rows from being deleted or marked; until then every start publishes them again.',
  ),
  PUBLICATION_MISSING: operator(EXIT.database, 'Run `walrelay init`.'),
  PUBLICATION_UNSUITABLE: operator(EXIT.database, 'Correct the publication with the SQL named above.'),
  PARTITION_UNKNOWN: retry(
    'Nothing: a partition that was just made is known in a moment. One that was dropped or detached: make or attach an empty one ' +
      'of its name until its rows are relayed; or SET (publish_via_partition_root = true), before the next.',
  ),
  PUBLICATION_CHANGED: operator(
    EXIT.history,
    'Set the publication right (`walrelay init` makes a missing one); then `walrelay epoch accept` says what may be missing, and goes on with --yes.',
  ),
  ROUTING_CHANGED: operator(
    EXIT.history,
    'Run once more with the routing of before and WALRELAY_REPLAY_WINDOW_MS=0 until everything is confirmed, stop, then change it. Or ' +
      '`walrelay epoch accept --yes`: consumers may then see an aggregate’s later events before its earlier ones.',
  ),
  TABLE_REPLACED: operator(
    EXIT.history,
    'Give the old table its name back and restart. Or relay the new one: ALTER PUBLICATION … ADD TABLE …; insert again what was ' +
      'inserted into it before that; then `walrelay epoch accept`.',
  ),
  SLOT_MISSING: operator(
    EXIT.database,
    'Run `walrelay recover`, which publishes from the table what the streams lack; before the first start: `walrelay init`.',
  ),
  SLOT_UNSUITABLE: operator(
    EXIT.database,
    'Use another WALRELAY_SLOT, or drop the slot; then run `walrelay init`.',
  ),
  SLOT_LOST: operator(
    EXIT.history,
    'Run `walrelay recover`: it makes a new slot and publishes from the table what the streams lack.',
  ),
  SLOT_HEALTHY: operator(EXIT.database, 'Run `walrelay run`. What Redis lost, `walrelay epoch show` tells.'),
  PG_PROTOCOL: operator(EXIT.database, 'Report the server version and this message.'),
  PG_REFUSED: operator(EXIT.database, 'See the server log for the statement that failed.'),

  // History that does not fit: Redis lost data, Postgres was restored, or this is another server.
  LANE_MISSING: operator(EXIT.history, 'Run `walrelay epoch accept` only when you know what is missing.'),
  LANE_FOREIGN: operator(
    EXIT.history,
    'Give each relay its own WALRELAY_META_KEY, or point it at its own Redis.',
  ),
  LANE_VERSION: operator(EXIT.history, 'Run the newer Walrelay that wrote this lane state.'),
  REDIS_BEHIND: operator(EXIT.history, 'Run `walrelay epoch accept` only when you know what is missing.'),
  POSTGRES_BEHIND: operator(
    EXIT.history,
    'Run `walrelay epoch accept` only when you know what may be double.',
  ),
  SYSTEM_CHANGED: operator(
    EXIT.history,
    'Point DATABASE_URL at the right cluster, or `walrelay epoch accept`.',
  ),
  TIMELINE_BEHIND: operator(EXIT.history, 'Point DATABASE_URL at the current primary.'),
  TIMELINE_FORK: operator(EXIT.history, 'Run `walrelay epoch accept` only when you know what may be double.'),
  RECOVERY_UNFINISHED: operator(
    EXIT.history,
    'Wait for the `walrelay recover` that runs; if none does, run it again: it finishes what was begun.',
  ),
  RECOVERY_IN_DOUBT: operator(
    EXIT.history,
    'Run `walrelay recover --yes --since TIME`: rows from then on that no stream holds are published, older ones are not.',
  ),
  SNAPSHOT_UNFINISHED: operator(
    EXIT.history,
    'Wait for the `walrelay init --snapshot` that runs; if none does, run it again: it goes on where the last one stopped.',
  ),
  SNAPSHOT_TOO_LATE: operator(
    EXIT.history,
    'Rows that no stream holds: `walrelay audit` finds them, `walrelay audit --repair` appends them, behind what was relayed.',
  ),
  SNAPSHOT_IN_DOUBT: operator(
    EXIT.history,
    'Run `walrelay init --snapshot --skip-published`: rows whose ids stand in the streams are skipped, all others published.',
  ),
  EPOCH_CHANGED: operator(EXIT.history, 'Somebody accepted a new epoch while this relay ran: restart it.'),
  FENCED: operator(EXIT.fenced, 'Another relay took over. Restart this one: it will stand by.'),

  AUDIT_OVERTAKEN: retry('Run the command again.'),

  // Redis, transient.
  REDIS_UNREACHABLE: retry('Check that the host and port of REDIS_URL answer and that Redis is up.'),
  REDIS_CONNECTION_LOST: retry('None needed: a new session starts from the slot.'),
  REDIS_TIMEOUT: retry('Check what keeps Redis busy (SLOWLOG, disk, another client’s script).'),
  REDIS_NOT_READY: retry('None needed: the relay waits until Redis accepts writes again.'),
  REDIS_FULL: retry('Raise maxmemory or trim streams; the relay waits and loses nothing.'),
  REDIS_NOT_PRIMARY: retry('None needed when a failover is under way; else point REDIS_URL at the primary.'),
  CHAIN_GAP: retry('None needed: the watermark went back, the missing entries are read again from the slot.'),

  // Redis, for an operator.
  REDIS_AUTH: operator(EXIT.redis, 'Correct the user or password in REDIS_URL.'),
  REDIS_PRIVILEGE: operator(
    EXIT.redis,
    'Grant the Redis user the commands and keys that docs/least-privilege.md lists.',
  ),
  REDIS_TLS: operator(EXIT.redis, 'Check the scheme of REDIS_URL (rediss://) and the certificates.'),
  REDIS_VERSION: operator(EXIT.redis, 'Use Redis 6.2 or later, or Valkey.'),
  REDIS_EVICTS: operator(EXIT.redis, 'CONFIG SET maxmemory-policy noeviction'),
  REDIS_VOLATILE: operator(EXIT.redis, 'CONFIG SET appendonly yes, or WALRELAY_REDIS_PERSISTENCE=warn.'),
  REDIS_MODE: operator(EXIT.redis, 'Set WALRELAY_REDIS_MODE to what REDIS_URL names.'),
  REDIS_DURABILITY: operator(
    EXIT.redis,
    'For fsync: CONFIG SET appendonly yes, on Redis 7.2 or later or Valkey. Or choose another WALRELAY_DURABILITY.',
  ),
  REDIS_LIMIT: operator(
    EXIT.redis,
    'CONFIG SET proto-max-bulk-len 512mb, or lower WALRELAY_EVENT_BYTES_MAX.',
  ),
  REDIS_KEY_TYPE: operator(
    EXIT.redis,
    'Give the relay another WALRELAY_META_KEY, or remove the foreign key.',
  ),
  REDIS_CROSS_SLOT: operator(
    EXIT.redis,
    'Redis is a cluster: give all streams of all outboxes one hash tag (WALRELAY_STREAM={outbox}.…), or set WALRELAY_REDIS_MODE=cluster.',
  ),
  REDIS_REFUSED: operator(EXIT.redis, 'Redis answered something Walrelay does not know; see the message.'),

  // One event that can't pass.
  EVENT_NO_ROUTE: poison('Choose a stream that every event of the outbox can fill.'),
  EVENT_STREAM_NAME: poison('Correct the row, or choose a stream whose columns hold plain names.'),
  EVENT_STREAM_LIMIT: poison(
    'If the names are right, raise WALRELAY_STREAMS_MAX (0 for no limit); else choose a stream of fewer different values.',
  ),
  EVENT_INCOMPLETE: poison('Give the row its id and type, or choose another format for the outbox.'),
  EVENT_MALFORMED: poison(
    'Emit messages with `outbox.emit` (postgres/outbox-emit.sql), or map the keys that they have (WALRELAY_COLUMN_…).',
  ),
  MESSAGE_NOT_TRANSACTIONAL: poison(
    'Emit it with pg_logical_emit_message(true, …), or with `outbox.emit` (postgres/outbox-emit.sql); it was not relayed.',
  ),
  EVENT_TOO_LARGE: poison('Raise WALRELAY_EVENT_BYTES_MAX (and the memory budget with it).'),
  DEAD_LETTER_LIMIT: poison(
    'See the dead letters (`walrelay dead-letters list`): if they have one cause, mend it. Then restart; WALRELAY_DEAD_LETTERS_MAX allows for more.',
  ),
  DEAD_LETTER_REFUSED: poison(
    'Move the foreign key out of the way (RENAME), or set another WALRELAY_DEAD_LETTER_STREAM, and restart.',
  ),
  EVENT_REFUSED: poison('Move the foreign key out of the way (RENAME) and restart; the event arrives then.'),

  BUG: {
    disposition: 'bug',
    exitCode: EXIT.bug,
    hint: 'Nothing was confirmed. Please report this with the log.',
  },
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;
