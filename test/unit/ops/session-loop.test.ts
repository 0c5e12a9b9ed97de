import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createDeferred } from '../../../src/core/deferred.ts';
import type { ErrorCode } from '../../../src/core/error-codes.ts';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';
import { type SessionEvents, SessionLoop } from '../../../src/ops/session-loop.ts';

type Run = (events: SessionEvents, stopped: Promise<void>) => Promise<void>;

/** Runs these sessions one after the other; notes phases, errors and log levels. */
function loopOf(runs: readonly Run[], { startTimeoutMs = 0, backoffMs = 1, workedIn = 'working' } = {}) {
  const phases: string[] = [];
  const errors: ErrorCode[] = [];
  const levels: string[] = [];
  let opened = 0;
  const loop = new SessionLoop({
    settings: { startTimeoutMs, backoffMinMs: backoffMs, backoffMaxMs: backoffMs },
    logger: pino({ level: 'trace' }, { write: (line) => levels.push(levelOf(line)) }),
    metrics: {
      recordSession() {},
      recordSessionError: (code) => errors.push(code),
      setPhase: (phase) => phases.push(phase),
    },
    longestWaitMs: 1000,
    workPhase: 'working',
    undrained: 'it comes again',
    random: () => 0,
    open: (events) => {
      const run = runs[opened];
      opened += 1;
      const stop = createDeferred<void>();
      if (run === undefined) throw new Error('one session too many');
      return {
        phase: workedIn,
        lastSignMs: performance.now(),
        run: async () => await run(events, stop.promise),
        requestStop: () => stop.resolve(),
      };
    },
  });
  return { loop, phases, errors, levels, opened: () => opened };
}

function levelOf(line: string): string {
  const { level } = JSON.parse(line) as { level: number };
  return pino.levels.labels[level] ?? '?';
}

function failing(code: ErrorCode): Run {
  return async () => {
    throw new WalrelayError(code, 'x');
  };
}

const ENDS: Run = async () => {};

test('a session that ends with something passing is followed by another, after a pause', async () => {
  const { loop, phases, errors } = loopOf([failing('REDIS_TIMEOUT'), failing('PG_CONNECTION_LOST'), ENDS]);
  await loop.run();
  expect(errors).toEqual(['REDIS_TIMEOUT', 'PG_CONNECTION_LOST']);
  expect(phases).toEqual(['connecting', 'backoff', 'connecting', 'backoff', 'connecting', 'stopped']);
});

test('what only a person can mend ends it', async () => {
  const { loop, opened } = loopOf([failing('PG_AUTH'), ENDS]);
  await expect(loop.run()).rejects.toMatchObject({ code: 'PG_AUTH' });
  expect(opened()).toBe(1);
});

test('a stop cuts a pause short', async () => {
  const { loop } = loopOf([failing('REDIS_TIMEOUT')], { backoffMs: 60_000 });
  const running = loop.run();
  await expect.poll(() => loop.status.phase).toBe('backoff');
  expect(loop.status).toMatchObject({ isAlive: true, lastError: { code: 'REDIS_TIMEOUT' } });
  loop.requestStop();
  await expect(running).resolves.toBeUndefined();
});

test('a stop is passed on to the session; a drain that fails then has an exit code of its own and no session follows', async () => {
  const { loop, opened } = loopOf([
    async (_events, stopped) => {
      await stopped;
      throw new WalrelayError('REDIS_CONNECTION_LOST', 'x');
    },
  ]);
  const running = loop.run();
  await expect.poll(() => loop.status.phase).toBe('working');
  loop.requestStop();
  const error = await running.catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({
    code: 'DRAIN_FAILED',
    exitCode: 74,
    hint: 'Nothing is lost: it comes again.',
    cause: { code: 'REDIS_CONNECTION_LOST' },
  });
  expect(opened()).toBe(1);
});

test('a stop while a session drains for a reason of its own, or has not begun its work, ends it without an error', async () => {
  for (const phase of ['draining', 'guarding']) {
    const { loop, levels } = loopOf(
      [
        async (_events, stopped) => {
          await stopped;
          throw new WalrelayError('PG_SHUTDOWN', 'x');
        },
      ],
      { workedIn: phase },
    );
    const running = loop.run();
    await expect.poll(() => loop.status.phase).toBe(phase);
    loop.requestStop();
    await expect(running).resolves.toBeUndefined();
    expect(levels).toEqual(['info']);
  }
});

test('who has never worked gives up after the start timeout; who has, never', async () => {
  const slow: Run = async () => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    throw new WalrelayError('PG_UNREACHABLE', 'x');
  };
  const never = loopOf([slow, ENDS], { startTimeoutMs: 1 });
  await expect(never.loop.run()).rejects.toMatchObject({ code: 'PG_UNREACHABLE' });
  const works: Run = async (events, stopped) => {
    events.works();
    await slow(events, stopped);
  };
  const once = loopOf([works, ENDS], { startTimeoutMs: 1 });
  await expect(once.loop.run()).resolves.toBeUndefined();
});

test('the tenth failure in a row is an error, and progress counts anew', async () => {
  const fail = failing('REDIS_TIMEOUT');
  const progress: Run = async (events, stopped) => {
    events.progressed();
    await fail(events, stopped);
  };
  const { loop, levels } = loopOf([...Array.from({ length: 10 }, () => fail), progress, ENDS]);
  await loop.run();
  expect(levels).toEqual([...Array(2).fill('info'), ...Array(7).fill('warn'), 'error', 'info']);
});
