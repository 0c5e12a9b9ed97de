import type { ErrorCode } from '../core/error-codes.ts';
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
  const says = isFromServer ? `Postgres says: ${error.message} (SQLSTATE ${code})` : messageOf(error);
  const hint = HINTS_BY_PHASE[phase]?.[code] ?? HINTS[code];
  return new WalrelayError(meaning, `${DOING[phase]}: ${says}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** connecting: until authenticated · querying: SQL before the stream · streaming: after START_REPLICATION. */
export type PostgresPhase = 'connecting' | 'querying' | 'streaming' | 'watching';

const DOING: Readonly<Record<PostgresPhase, string>> = {
  connecting: 'could not connect to Postgres',
  querying: 'Postgres refused a query',
  streaming: 'the replication stream ended',
  watching: 'could not watch the catalog',
};

/** Node reports a refused connection to a name with two addresses as an AggregateError without a message. */
function messageOf(error: Error): string {
  if (error.message !== '') return error.message;
  if (error instanceof AggregateError) return error.errors.map((each) => (each as Error).message).join('; ');
  return 'code' in error ? String(error.code) : error.name;
}

function classifyServer(sqlState: string, phase: PostgresPhase): ErrorCode {
  // The guards saw slot and publication before the stream began: the history that is decoded now lacks them.
  if (phase === 'streaming' && sqlState === '42704') return 'PUBLICATION_CHANGED';
  return CODE_BY_SQLSTATE[sqlState] ?? CODE_BY_CLASS[sqlState.slice(0, 2)] ?? 'PG_REFUSED';
}

/** Never by the form of the code: EPIPE looks like a SQLSTATE. */
function classifyClient(code: string, message: string, phase: PostgresPhase): ErrorCode {
  if (/^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(code)) return 'PG_TLS';
  if (/does not support SSL|establishing an SSL/.test(message)) return 'PG_TLS';
  if (message.startsWith('SASL')) return 'PG_AUTH';
  return phase === 'connecting' ? 'PG_UNREACHABLE' : 'PG_CONNECTION_LOST';
}

const CODE_BY_SQLSTATE: Readonly<Record<string, ErrorCode>> = {
  '25006': 'PG_READ_ONLY',
  '28000': 'PG_AUTH',
  '28P01': 'PG_AUTH',
  '3D000': 'PG_DATABASE_MISSING',
  '42501': 'PG_PRIVILEGE',
  '42704': 'SLOT_MISSING',
  '53300': 'PG_BUSY',
  '53400': 'PG_BUSY',
  '55000': 'SLOT_UNSUITABLE',
  '55006': 'SLOT_IN_USE',
  '57014': 'PG_CONNECTION_LOST',
  '57P01': 'PG_SHUTDOWN',
  '57P02': 'PG_SHUTDOWN',
  '57P03': 'PG_SHUTDOWN',
  '57P05': 'PG_CONNECTION_LOST',
  '58P01': 'SLOT_LOST',
  '22021': 'PG_ENCODING',
  '22P05': 'PG_ENCODING',
};

/** SQLSTATE classes: 08 connection, 40 rollback, 53 resources, 58 system: none of them is about our data. */
const CODE_BY_CLASS: Readonly<Record<string, ErrorCode>> = {
  '08': 'PG_CONNECTION_LOST',
  '40': 'PG_CONNECTION_LOST',
  '53': 'PG_BUSY',
  '57': 'PG_SHUTDOWN',
  '58': 'PG_CONNECTION_LOST',
};

const HINTS: Readonly<Record<string, string>> = {
  '28000':
    'Add a pg_hba.conf line for this user, database and address (the database line; `replication` is not needed); ' +
    'or ALTER ROLE … LOGIN.',
  '42501': 'Grant the role of DATABASE_URL what postgres/role.sql grants.',
  '53300': 'Raise max_wal_senders or max_connections, or end a connection that is not needed.',
  '53400':
    'Drop a replication slot that is not needed (SELECT * FROM pg_replication_slots;), or raise max_replication_slots ' +
    'and restart Postgres.',
};

const HINTS_BY_PHASE: Partial<Record<PostgresPhase, Readonly<Record<string, string>>>> = {
  connecting: {
    '42501':
      'ALTER ROLE … REPLICATION; and GRANT CONNECT ON DATABASE … TO …; for the role and database of DATABASE_URL.',
  },
  streaming: {
    '42704':
      'Changes from a time without the publication can’t be decoded. Create it if it is missing, drop the slot (SELECT ' +
      'pg_drop_replication_slot(…);), then run `walrelay epoch accept`: it says what may be missing and creates a slot.',
  },
};
