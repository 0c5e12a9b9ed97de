import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';
import { componentLogger, createLogger } from '../../../src/ops/logger.ts';

function capture() {
  const lines: string[] = [];
  const logger = createLogger({ level: 'info', destination: { write: (line) => void lines.push(line) } });
  const parsed = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { logger, lines, parsed };
}

test('a line has an ISO time, the level as a word, its component and its message', () => {
  const { logger, parsed } = capture();
  componentLogger(logger, 'sink').warn({ batches: 3 }, 'redis is slow');
  logger.debug('not at this level');
  expect(parsed()).toEqual([
    {
      level: 'warn',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      component: 'sink',
      batches: 3,
      msg: 'redis is slow',
    },
  ]);
});

test('an error is logged with its code, disposition, hint, facts and the messages of its causes', () => {
  const { logger, parsed } = capture();
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const wrapped = new Error('no connection', { cause: refused });
  const error = new WalrelayError('REDIS_UNREACHABLE', "can't reach Redis", {
    cause: wrapped,
    facts: { port: 6379 },
  });
  logger.error({ err: error }, 'session ended');
  expect(parsed()[0]?.err).toEqual({
    type: 'WalrelayError',
    message: "can't reach Redis",
    code: 'REDIS_UNREACHABLE',
    disposition: 'retry',
    hint: expect.stringContaining('REDIS_URL'),
    facts: { port: 6379 },
    causes: ['Error: no connection', 'Error ECONNREFUSED: connect ECONNREFUSED'],
  });
});

test('a bug is logged with the stack of where it happened', () => {
  const { logger, parsed } = capture();
  const cause = new RangeError('out of range');
  logger.fatal({ err: new WalrelayError('BUG', 'invariant', { cause }) }, 'stopped');
  expect(parsed()[0]?.err).toMatchObject({ stack: expect.stringContaining('RangeError: out of range') });
});

test('the command and the parameters that a driver hangs on its error are left out', () => {
  const { logger, lines } = capture();
  const cause = Object.assign(new Error('OOM'), {
    command: { name: 'evalsha', args: ['customer data'] },
    parameters: ['customer data'],
    detail: 'customer data',
  });
  logger.error({ err: cause }, 'a');
  logger.error({ err: new WalrelayError('REDIS_FULL', 'full', { cause }) }, 'b');
  logger.error({ err: new Error('odd', { cause: { parameters: ['customer data'] } }) }, 'c');
  expect(lines.join('')).not.toContain('customer data');
});

test('an aggregate of refused addresses says which', () => {
  const { logger, parsed } = capture();
  logger.error({ err: new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')]) }, 'x');
  expect(parsed()[0]?.err).toMatchObject({ message: '::1 refused; 127.0.0.1 refused' });
});

test('a cause that is its own cause ends', () => {
  const { logger, parsed } = capture();
  const error = new Error('round');
  error.cause = error;
  logger.error({ err: error }, 'x');
  expect(parsed()).toHaveLength(1);
});

test('fields that hold secrets or payloads are hidden', () => {
  const { logger, lines } = capture();
  logger.info({ password: 's3cret', config: { redisUrl: 's3cret', payload: 's3cret' } }, 'x');
  expect(lines[0]).not.toContain('s3cret');
});

test('no password of a URL gets into a line, wherever it stands', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), (text) => {
      fc.pre(!/\s/.test(text));
      const password = `<${text}>`;
      const url = `postgres://app:${password}@db/x`;
      const { logger, lines, parsed } = capture();
      logger.info({ url, err: new Error(`bad ${url}`, { cause: new Error(url) }) }, `connecting to ${url}`);
      expect(lines[0]).not.toContain(JSON.stringify(password).slice(1, -1));
      expect(parsed()[0]).toMatchObject({
        url: 'postgres://app:***@db/x',
        msg: 'connecting to postgres://app:***@db/x',
      });
    }),
  );
});
