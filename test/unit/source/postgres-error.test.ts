import { describe, expect, test } from 'vitest';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';
import { postgresError, type PostgresPhase } from '../../../src/source/postgres-error.ts';

function serverError(sqlState: string): Error {
  return Object.assign(new Error('the text says nothing'), { code: sqlState, severity: 'FATAL' });
}

function systemError(code: string, message = 'x'): Error {
  return Object.assign(new Error(message), { code });
}

describe('an error of the server', () => {
  test.each<[string, PostgresPhase, string]>([
    ['28P01', 'connecting', 'PG_AUTH'],
    ['28000', 'connecting', 'PG_AUTH'],
    ['3D000', 'connecting', 'PG_DATABASE_MISSING'],
    ['53300', 'connecting', 'PG_BUSY'],
    ['57P03', 'connecting', 'PG_SHUTDOWN'],
    ['42501', 'querying', 'PG_PRIVILEGE'],
    ['42704', 'querying', 'SLOT_MISSING'],
    ['42704', 'starting', 'SLOT_MISSING'],
    ['42704', 'streaming', 'PUBLICATION_CHANGED'],
    ['55006', 'streaming', 'SLOT_IN_USE'],
    ['55000', 'streaming', 'SLOT_UNSUITABLE'],
    ['57P01', 'streaming', 'PG_SHUTDOWN'],
    ['58P01', 'streaming', 'SLOT_LOST'],
    ['58030', 'streaming', 'PG_CONNECTION_LOST'],
    ['40P01', 'querying', 'PG_CONNECTION_LOST'],
    ['42601', 'querying', 'PG_REFUSED'],
    ['XX000', 'streaming', 'PG_REFUSED'],
  ])('%s while %s is %s', (sqlState, phase, code) => {
    expect(postgresError(serverError(sqlState), phase).code).toBe(code);
  });

  test('that nobody knows stops the relay', () => {
    expect(postgresError(serverError('ZZ999'), 'streaming').disposition).toBe('operator');
  });
});

describe('an error on the way to the server', () => {
  test.each<[Error, PostgresPhase, string]>([
    [systemError('ECONNREFUSED'), 'connecting', 'PG_UNREACHABLE'],
    [systemError('ENOTFOUND'), 'connecting', 'PG_UNREACHABLE'],
    [systemError('ECONNRESET'), 'streaming', 'PG_CONNECTION_LOST'],
    // Five capital letters, like a SQLSTATE.
    [systemError('EPIPE'), 'streaming', 'PG_CONNECTION_LOST'],
    [new Error('Connection terminated unexpectedly'), 'querying', 'PG_CONNECTION_LOST'],
    [systemError('DEPTH_ZERO_SELF_SIGNED_CERT'), 'connecting', 'PG_TLS'],
    [new Error('The server does not support SSL connections'), 'connecting', 'PG_TLS'],
    [new Error('SASL: client password must be a string'), 'connecting', 'PG_AUTH'],
  ])('%s while %s is %s', (error, phase, code) => {
    expect(postgresError(error, phase).code).toBe(code);
  });
});

test('an error that is classified already stays what it is', () => {
  const known = new WalrelayError('PG_SILENT', 'x');
  expect(postgresError(known, 'streaming')).toBe(known);
});

test('something thrown that is no error becomes one', () => {
  expect(postgresError('gone', 'streaming')).toMatchObject({ code: 'PG_CONNECTION_LOST' });
});
