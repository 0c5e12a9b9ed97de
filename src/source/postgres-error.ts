import type { ErrorCode } from '../core/error-codes.ts';
import { tlsFix, type TlsNames } from '../core/tls-failure.ts';
import { WalrelayError } from '../core/walrelay-error.ts';

/**
 * What an error from Postgres or from the way there means. By SQLSTATE and by system error code; by text only
 * where the client library gives nothing else.
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function postgresError(thrown: unknown, phase: PostgresPhase): WalrelayError {
  if (thrown instanceof WalrelayError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const isFromServer = 'severity' in error;
  const meaning = isFromServer ? classifyServer(code, phase) : classifyClient(code, error.message, phase);
  const hint =
    HINTS_BY_PHASE[phase]?.[code] ?? HINTS[code] ?? (meaning === 'PG_TLS' ? tlsHint(code) : undefined);
  const hinted = hint === undefined ? {} : { hint };
  if (isFromServer && QUOTES_ROWS.test(code)) {
    const says = `SQLSTATE ${code}; what Postgres says may quote a row and stands in its own log`;
    return new WalrelayError(meaning, `${DOING[phase]}: ${says}`, hinted);
  }
  const says = isFromServer ? `Postgres says: ${error.message} (SQLSTATE ${code})` : messageOf(error);
  return new WalrelayError(meaning, `${DOING[phase]}: ${says}`, { cause: error, ...hinted });
}

/**
 * connecting: until authenticated · querying: SQL before the stream · starting: START_REPLICATION, unanswered ·
 * streaming: after its answer · watching: SQL beside the stream · cleaning: what deletes confirmed rows.
 */
export type PostgresPhase = 'connecting' | 'querying' | 'starting' | 'streaming' | 'watching' | 'cleaning';

const DOING: Readonly<Record<PostgresPhase, string>> = {
  connecting: 'could not connect to Postgres',
  querying: 'Postgres refused a query',
  starting: 'Postgres refused to start the stream',
  streaming: 'the replication stream ended',
  watching: 'could not watch the catalog',
  cleaning: 'could not clean up',
};

/** Node reports a refused connection to a name with two addresses as an AggregateError without a message. */
function messageOf(error: Error): string {
  if (error.message !== '') return error.message;
  if (error instanceof AggregateError) return error.errors.map((each) => (each as Error).message).join('; ');
  return 'code' in error ? String(error.code) : error.name;
}

function classifyServer(sqlState: string, phase: PostgresPhase): ErrorCode {
  return (
    CODE_BY_PHASE[phase][sqlState] ??
    CODE_BY_SQLSTATE[sqlState] ??
    CODE_BY_CLASS[sqlState.slice(0, 2)] ??
    'PG_REFUSED'
  );
}

/** Never by the form of the code: EPIPE looks like a SQLSTATE. */
function classifyClient(code: string, message: string, phase: PostgresPhase): ErrorCode {
  if (message.startsWith('SASL')) return 'PG_AUTH';
  // What breaks after the log-in is the link: if it is TLS that is wrong, the next log-in will say so.
  if (phase !== 'connecting') return 'PG_CONNECTION_LOST';
  return tlsFix(code, TLS_NAMES) !== undefined || NO_SSL.test(message) ? 'PG_TLS' : 'PG_UNREACHABLE';
}

/** The driver's own words; it has no code for them. */
const NO_SSL = /does not support SSL/;

function tlsHint(code: string): string {
  return (
    tlsFix(code, TLS_NAMES) ??
    'The server offers no TLS: set ssl = on and ssl_cert_file in postgresql.conf, and reload. Plain text only if you ask ' +
      'for it: sslmode=disable in DATABASE_URL.'
  );
}

const TLS_NAMES: TlsNames = {
  caSetting: 'WALRELAY_POSTGRES_CA_FILE (or sslrootcert in DATABASE_URL)',
  certSettings: 'WALRELAY_POSTGRES_CERT_FILE and WALRELAY_POSTGRES_KEY_FILE',
  urlSetting: 'DATABASE_URL',
  verifyCa: 'sslmode=verify-ca in DATABASE_URL checks the authority alone',
  server: 'Postgres',
};

/** What only there is about the slot: elsewhere the same SQLSTATE is about anything. */
const CODE_BY_PHASE: Readonly<Record<PostgresPhase, Readonly<Record<string, ErrorCode>>>> = {
  connecting: {},
  querying: { '42704': 'SLOT_MISSING', '55000': 'SLOT_UNSUITABLE', '55006': 'SLOT_IN_USE' },
  starting: {
    '42704': 'SLOT_MISSING',
    '55000': 'SLOT_UNSUITABLE',
    '55006': 'SLOT_IN_USE',
    '58P01': 'SLOT_LOST',
  },
  streaming: {
    // Once the stream flows, what is missing is the publication: in the history that is decoded now, whatever the
    // catalog has by this time.
    '42704': 'PUBLICATION_CHANGED',
    '55000': 'SLOT_UNSUITABLE',
    '55006': 'SLOT_IN_USE',
    // A WAL segment that the slot needs. (Among the guards it would be the history file of a timeline.)
    '58P01': 'SLOT_LOST',
  },
  watching: {},
  cleaning: {},
};

const CODE_BY_SQLSTATE: Readonly<Record<string, ErrorCode>> = {
  '22021': 'PG_ENCODING',
  '22P05': 'PG_ENCODING',
  '25006': 'PG_READ_ONLY',
  // Time limits that a role or database may have: of a transaction, of a lock.
  '25P03': 'PG_CONNECTION_LOST',
  '25P04': 'PG_CONNECTION_LOST',
  '28000': 'PG_AUTH',
  '28P01': 'PG_AUTH',
  '3D000': 'PG_DATABASE_MISSING',
  '42501': 'PG_PRIVILEGE',
  '55P03': 'PG_CONNECTION_LOST',
  '57014': 'PG_CONNECTION_LOST',
  '57P05': 'PG_CONNECTION_LOST',
  // A file that is gone from the server: waiting won't bring it back.
  '58P01': 'PG_REFUSED',
};

/**
 * SQLSTATE classes: 08 connection, 40 rollback, 53 resources, 57 an operator of the server, 58 system: none of them is
 * about our data, and all of them pass.
 */
const CODE_BY_CLASS: Readonly<Record<string, ErrorCode>> = {
  '08': 'PG_CONNECTION_LOST',
  '40': 'PG_CONNECTION_LOST',
  '53': 'PG_BUSY',
  '57': 'PG_SHUTDOWN',
  '58': 'PG_CONNECTION_LOST',
};

/** Bad data, a violated constraint, a trigger's own words: these texts may hold values. Encodings quote a few bytes. */
const QUOTES_ROWS = /^(22(?!021|P05)|23|P0)/;

const HINTS: Readonly<Record<string, string>> = {
  '28000':
    'Add a pg_hba.conf line for this user, database and address (the database line; `replication` is not needed); ' +
    'or ALTER ROLE … LOGIN. Where the line asks for a client certificate: WALRELAY_POSTGRES_CERT_FILE and …_KEY_FILE.',
  '42501': 'Grant the role of DATABASE_URL what postgres/role.sql grants.',
  '28P01':
    'Correct the user or password in DATABASE_URL. If it was rotated: write the new URL into the file of ' +
    'DATABASE_URL_FILE, which each session reads anew, or into the environment; then restart.',
  '53100':
    'Free space on the disk of Postgres. What the slots keep: SELECT slot_name, active, pg_size_pretty(' +
    'pg_current_wal_lsn() - restart_lsn) FROM pg_replication_slots;',
  '53200': 'Give Postgres more memory, or lower logical_decoding_work_mem or work_mem.',
  '53300': 'Raise max_wal_senders or max_connections, or end a connection that is not needed.',
  '53400':
    'Drop a replication slot that is not needed (SELECT * FROM pg_replication_slots;), or raise max_replication_slots ' +
    'and restart Postgres.',
  '57014':
    'None needed when somebody cancelled it. Else something holds a lock on the table: SELECT pid, ' +
    "pg_blocking_pids(pid), query FROM pg_stat_activity WHERE wait_event_type = 'Lock';",
};

const HINTS_BY_PHASE: Partial<Record<PostgresPhase, Readonly<Record<string, string>>>> = {
  connecting: {
    '08P01': 'A connection pooler can’t carry a replication stream: point DATABASE_URL at Postgres itself.',
    '42501':
      'ALTER ROLE … REPLICATION; and GRANT CONNECT ON DATABASE … TO …; for the role and database of DATABASE_URL.',
  },
  streaming: {
    '55000':
      'Restart: the guards then say what it is. SELECT wal_status, plugin, database, temporary FROM ' +
      'pg_replication_slots; shows it too.',
    '42704':
      'Up to version 17 the slot can’t get past changes from a time without the publication, even after that is back. Create the ' +
      'publication if it is missing (`walrelay init`), drop the slot (SELECT pg_drop_replication_slot(…);), then run ' +
      '`walrelay recover`: it creates a slot and publishes from the table what the streams lack. (`walrelay epoch accept` ' +
      'creates one and only says what may be missing.)',
  },
};
