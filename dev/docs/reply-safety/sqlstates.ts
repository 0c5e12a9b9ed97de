import type { ErrorCode } from '../../../src/core/error-codes.ts';

/** Every place where an error of Postgres can come, in the order of a session's life. */
export const POSTGRES_PLACES = {
  connect: { sent: 'the replication connection', phase: 'connecting' },
  guard: { sent: 'a query of the guards', phase: 'querying' },
  watchConnect: { sent: 'the connection that watches the catalog', phase: 'connecting' },
  start: { sent: '`START_REPLICATION`', phase: 'starting' },
  stream: { sent: 'in the stream', phase: 'streaming' },
  watch: { sent: 'a look at the catalog while events flow', phase: 'watching' },
} as const;

export type PostgresPlace = keyof typeof POSTGRES_PLACES;
type Phase = (typeof POSTGRES_PLACES)[PostgresPlace]['phase'];

export interface SqlState {
  readonly state: string;
  readonly name: string;
  readonly when: string;
  readonly code: ErrorCode;
  readonly inPhase?: Partial<Record<Phase, ErrorCode>>;
  readonly why: string;
  /** A FATAL ends the connection, an ERROR only the statement. */
  readonly isFatal?: true;
  /** The tests that provoke it on a real server, `file › test`. */
  readonly real?: readonly string[];
}

export const SQLSTATES: readonly SqlState[] = [
  {
    state: '08P01',
    name: 'protocol_violation',
    when: 'mostly a connection pooler: it lost its server, or carries no replication',
    code: 'PG_CONNECTION_LOST',
    why: 'poolers say so of a server that crashed; the hint speaks of the pooler',
    isFatal: true,
  },
  {
    state: '08006',
    name: 'connection_failure',
    when: 'the server lost the connection',
    code: 'PG_CONNECTION_LOST',
    why: 'passes',
    isFatal: true,
  },
  {
    state: '0A000',
    name: 'feature_not_supported',
    when: 'a standby before version 16 can’t decode',
    code: 'PG_REFUSED',
    why: 'no retry makes it supported',
  },
  {
    state: '22021',
    name: 'character_not_in_repertoire',
    when: 'a value is no text of the server’s encoding',
    code: 'PG_ENCODING',
    why: 'it would be refused again',
  },
  {
    state: '22P05',
    name: 'untranslatable_character',
    when: 'a value has no form in UTF-8',
    code: 'PG_ENCODING',
    why: 'as 22021',
  },
  {
    state: '22P02',
    name: 'invalid_text_representation',
    when: 'bad data, a trigger',
    code: 'PG_REFUSED',
    why: 'it would be refused again; the text may quote a row and is withheld',
  },
  {
    state: '25006',
    name: 'read_only_sql_transaction',
    when: 'a primary that was demoted',
    code: 'PG_READ_ONLY',
    why: 'during a failover the address follows the new primary in seconds; who has never worked gives up after the start timeout',
  },
  {
    state: '25P03',
    name: 'idle_in_transaction_session_timeout',
    when: 'a time limit of the role, after the relay was frozen',
    code: 'PG_CONNECTION_LOST',
    why: 'passes',
    isFatal: true,
  },
  {
    state: '25P04',
    name: 'transaction_timeout',
    when: 'a time limit of the role (from version 17 on)',
    code: 'PG_CONNECTION_LOST',
    why: 'passes',
    isFatal: true,
  },
  {
    state: '28000',
    name: 'invalid_authorization_specification',
    when: 'no line in pg_hba.conf, NOLOGIN',
    code: 'PG_AUTH',
    why: 'somebody must let it in',
    isFatal: true,
    real: [
      'test/integration/bad-input-connection.test.ts › a role that may not connect to the database, or not log in at all, is told which right it lacks',
    ],
  },
  {
    state: '28P01',
    name: 'invalid_password',
    when: 'a wrong password, or one that was rotated while the relay ran',
    code: 'PG_AUTH',
    why: 'the file of the URL was read a moment ago; the same secret again and again would lock the account',
    isFatal: true,
    real: [
      'test/chaos/redis-replies.test.ts › a Postgres password that is rotated ends the relay at its next reconnect, and is never shown',
      'test/integration/bad-input-connection.test.ts › a wrong password or an unknown user is refused by either server at once, and never shown',
    ],
  },
  {
    state: '3D000',
    name: 'invalid_catalog_name',
    when: 'no such database',
    code: 'PG_DATABASE_MISSING',
    why: 'somebody must say which one',
    isFatal: true,
    real: ['test/integration/bad-input-connection.test.ts › a database that does not exist is named'],
  },
  {
    state: '40001',
    name: 'serialization_failure',
    when: 'a conflict, on a standby with recovery',
    code: 'PG_CONNECTION_LOST',
    why: 'passes',
  },
  {
    state: '42501',
    name: 'insufficient_privilege',
    when: 'a right is lacking or was revoked',
    code: 'PG_PRIVILEGE',
    why: 'somebody must grant it',
    real: [
      'test/integration/bad-input-connection.test.ts › a role without REPLICATION is refused until it has it',
    ],
  },
  {
    state: '42601',
    name: 'syntax_error',
    when: 'something between that speaks another dialect',
    code: 'PG_REFUSED',
    why: 'the same statement would be refused again',
  },
  {
    state: '42704',
    name: 'undefined_object',
    when: 'the slot; in the stream, the publication',
    code: 'PG_REFUSED',
    inPhase: { querying: 'SLOT_MISSING', starting: 'SLOT_MISSING', streaming: 'PUBLICATION_CHANGED' },
    why: 'what is decoded now lacks it for ever. Not drained: the look at the catalog that every confirmation needs would refuse it; what is in flight is skipped by the next session',
    real: [
      'test/integration/bad-input-catalog.test.ts › changes written without a publication end the stream by name; with a new slot the relay goes on',
    ],
  },
  {
    state: '53100',
    name: 'disk_full',
    when: 'the disk of Postgres is full',
    code: 'PG_BUSY',
    why: 'ends with its cause',
  },
  {
    state: '53200',
    name: 'out_of_memory',
    when: 'Postgres has no memory',
    code: 'PG_BUSY',
    why: 'passes',
  },
  {
    state: '53300',
    name: 'too_many_connections',
    when: 'max_connections or max_wal_senders is reached',
    code: 'PG_BUSY',
    why: 'passes',
    isFatal: true,
  },
  {
    state: '53400',
    name: 'configuration_limit_exceeded',
    when: 'max_replication_slots is reached',
    code: 'PG_BUSY',
    why: 'as 53300',
  },
  {
    state: '54000',
    name: 'program_limit_exceeded',
    when: 'a row that is too large to be decoded',
    code: 'PG_REFUSED',
    why: 'it would be too large again',
  },
  {
    state: '55000',
    name: 'object_not_in_prerequisite_state',
    when: 'the slot was invalidated since the guards looked',
    code: 'PG_REFUSED',
    inPhase: { querying: 'SLOT_UNSUITABLE', starting: 'SLOT_UNSUITABLE', streaming: 'SLOT_UNSUITABLE' },
    why: 'the next start’s guards look at the view and name it (SLOT_LOST, WAL_LEVEL …)',
  },
  {
    state: '55006',
    name: 'object_in_use',
    when: 'somebody took the slot first',
    code: 'PG_REFUSED',
    inPhase: { querying: 'SLOT_IN_USE', starting: 'SLOT_IN_USE', streaming: 'SLOT_IN_USE' },
    why: 'the next session stands by',
  },
  {
    state: '55P03',
    name: 'lock_not_available',
    when: 'a lock_timeout of the role',
    code: 'PG_CONNECTION_LOST',
    why: 'passes',
  },
  {
    state: '57014',
    name: 'query_canceled',
    when: 'a statement_timeout, or pg_cancel_backend',
    code: 'PG_CONNECTION_LOST',
    why: 'passes',
  },
  {
    state: '57P01',
    name: 'admin_shutdown',
    when: 'a shutdown, pg_terminate_backend, a slot being invalidated',
    code: 'PG_SHUTDOWN',
    why: 'what is in flight is drained and confirmed, so that the shutdown need not wait; the next session’s guards tell which it was',
    isFatal: true,
  },
  {
    state: '57P02',
    name: 'crash_shutdown',
    when: 'another backend crashed',
    code: 'PG_SHUTDOWN',
    why: 'passes',
    isFatal: true,
  },
  {
    state: '57P03',
    name: 'cannot_connect_now',
    when: 'starting up, shutting down, in recovery',
    code: 'PG_SHUTDOWN',
    why: 'passes',
    isFatal: true,
  },
  {
    state: '57P05',
    name: 'idle_session_timeout',
    when: 'a time limit of the role',
    code: 'PG_CONNECTION_LOST',
    why: 'passes',
    isFatal: true,
  },
  {
    state: '58000',
    name: 'system_error',
    when: 'the server’s operating system',
    code: 'PG_CONNECTION_LOST',
    why: 'passes, or the log says otherwise louder every time',
  },
  {
    state: '58030',
    name: 'io_error',
    when: 'a file could not be read',
    code: 'PG_CONNECTION_LOST',
    why: 'as 58000',
  },
  {
    state: '58P01',
    name: 'undefined_file',
    when: 'a WAL segment that the slot needs was removed; elsewhere another file',
    code: 'PG_REFUSED',
    inPhase: { starting: 'SLOT_LOST', streaming: 'SLOT_LOST' },
    why: 'waiting brings no file back; only in the stream is it the slot’s WAL',
  },
  {
    state: 'P0001',
    name: 'raise_exception',
    when: 'a trigger’s own words',
    code: 'PG_REFUSED',
    why: 'they may quote a row, and are withheld',
  },
  {
    state: 'XX000',
    name: 'internal_error',
    when: 'Postgres itself does not know',
    code: 'PG_REFUSED',
    why: 'fail closed',
  },
  {
    state: 'XX001',
    name: 'data_corrupted',
    when: 'damaged files',
    code: 'PG_REFUSED',
    why: 'fail closed',
  },
  {
    state: 'ZZ999',
    name: 'unknown',
    when: 'a Postgres of the future',
    code: 'PG_REFUSED',
    why: 'fail closed',
  },
];

export function codeOfSqlState(sqlState: SqlState, place: PostgresPlace): ErrorCode {
  return sqlState.inPhase?.[POSTGRES_PLACES[place].phase] ?? sqlState.code;
}
