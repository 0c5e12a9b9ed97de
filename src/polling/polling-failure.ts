import type { ErrorCode } from '../core/error-codes.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { postgresError } from '../source/postgres-error.ts';

/**
 * What an error of Postgres means to a polling relay: as for every connection, except for SQLSTATEs that tell the
 * other relay about its slot and this one about its table.
 */
export function pollingFailure(thrown: unknown, phase: 'connecting' | 'querying'): WalrelayError {
  if (thrown instanceof WalrelayError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  if (error.message === QUERY_TIMEOUT) {
    return new WalrelayError('PG_SILENT', 'Postgres has not answered a query in time', { cause: error });
  }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const special = SPECIAL[code];
  if (special === undefined) return postgresError(error, phase);
  const says = 'severity' in error ? `${error.message} (SQLSTATE ${code})` : error.message;
  return new WalrelayError(special, `a query failed: ${says}`, { cause: error });
}

/** How pg says so. */
const QUERY_TIMEOUT = 'Query read timeout';

const SPECIAL: Readonly<Record<string, ErrorCode>> = {
  // The server ended a claim that took too long: a process that was frozen.
  '25P03': 'PG_CONNECTION_LOST',
  '42703': 'COLUMN_MISSING',
  '42704': 'PG_REFUSED',
  '42P01': 'TABLE_MISSING',
  '55000': 'PG_REFUSED',
  '55006': 'PG_REFUSED',
  '55P03': 'PG_CONNECTION_LOST',
};
