import { expect, test } from 'vitest';
import { pollingFailure } from '../../../src/polling/polling-failure.ts';

function failureOf(code: string, isOfPostgres = true) {
  return pollingFailure(
    Object.assign(new Error('no'), { code, ...(isOfPostgres ? { severity: 'ERROR' } : {}) }),
    'querying',
  );
}

test.each([
  ['42P01', 'TABLE_MISSING', 'operator'],
  ['42703', 'COLUMN_MISSING', 'operator'],
  ['42501', 'PG_PRIVILEGE', 'operator'],
  ['42883', 'PG_REFUSED', 'operator'],
  ['25P03', 'PG_CONNECTION_LOST', 'retry'],
  ['40P01', 'PG_CONNECTION_LOST', 'retry'],
  ['40001', 'PG_CONNECTION_LOST', 'retry'],
  ['57P01', 'PG_SHUTDOWN', 'retry'],
  ['53300', 'PG_BUSY', 'retry'],
])('SQLSTATE %s is %s (%s)', (code, meaning, disposition) => {
  expect(failureOf(code)).toMatchObject({ code: meaning, disposition });
});

test('nothing is said about a slot: polling has none', () => {
  for (const code of ['42704', '55000', '55006']) expect(failureOf(code).code).toBe('PG_REFUSED');
});

test('a broken pipe is a lost connection, although its code has the form of a SQLSTATE', () => {
  expect(failureOf('EPIPE', false)).toMatchObject({ code: 'PG_CONNECTION_LOST', disposition: 'retry' });
  expect(failureOf('ECONNRESET', false)).toMatchObject({ code: 'PG_CONNECTION_LOST' });
});

test('a query without an answer is a silent server', () => {
  expect(pollingFailure(new Error('Query read timeout'), 'querying').code).toBe('PG_SILENT');
});
