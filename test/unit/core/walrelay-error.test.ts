import { describe, expect, test } from 'vitest';
import { ERROR_CODES, type ErrorCode, EXIT } from '../../../src/core/error-codes.ts';
import { toWalrelayError, WalrelayError } from '../../../src/core/walrelay-error.ts';

describe('an error', () => {
  test('knows from its code what must happen next, how the process ends and what helps', () => {
    const error = new WalrelayError('REDIS_FULL', 'no memory');
    expect(error).toMatchObject({
      disposition: 'retry',
      exitCode: EXIT.unavailable,
      hint: ERROR_CODES.REDIS_FULL.hint,
    });
  });

  test('may bring a better hint and named facts', () => {
    const cause = new Error('cause');
    const error = new WalrelayError('WAL_LEVEL', 'x', {
      hint: 'do this',
      facts: { walLevel: 'replica' },
      cause,
    });
    expect(error).toMatchObject({ hint: 'do this', facts: { walLevel: 'replica' }, cause });
  });
});

describe('whatever was thrown', () => {
  test('stays what it is when it was classified', () => {
    const error = new WalrelayError('FENCED', 'x');
    expect(toWalrelayError(error)).toBe(error);
  });

  test.each([new TypeError('x is undefined'), 'text', undefined, null, 7, { code: 'FENCED' }])(
    'is a bug when nobody classified it: %s',
    (thrown) => {
      expect(toWalrelayError(thrown)).toMatchObject({ code: 'BUG', disposition: 'bug', exitCode: EXIT.bug });
    },
  );
});

describe('the table of codes', () => {
  const entries = Object.entries(ERROR_CODES) as [ErrorCode, (typeof ERROR_CODES)[ErrorCode]][];

  test('has a hint for each, written as a sentence or a statement', () => {
    expect(entries.filter(([, { hint }]) => hint.trim() === '')).toEqual([]);
  });

  test('ends the process with success only when somebody asked it to stop', () => {
    const peaceful = entries.filter(([, { exitCode }]) => exitCode === EXIT.ok).map(([code]) => code);
    expect(peaceful).toEqual(['ABORTED']);
  });

  test('gives every exit code one meaning', () => {
    expect(new Set(Object.values(EXIT)).size).toBe(Object.values(EXIT).length);
  });
});
