import { describe, expect, test } from 'vitest';
import { type Lsn, toLsn } from '../../../src/core/lsn.ts';
import { ReplyLimiter } from '../../../src/relay/reply-limiter.ts';

const lsn = (value: number): Lsn => toLsn(BigInt(value));

describe('an answer', () => {
  test('goes out at once when it says something new', () => {
    const limiter = new ReplyLimiter();
    expect(limiter.delayMs(lsn(100), 0)).toBe(0);
    limiter.answered(lsn(100), 0);
    expect(limiter.delayMs(lsn(101), 1)).toBe(0);
  });

  test('that repeats the one before it waits until 50 ms have passed', () => {
    const limiter = new ReplyLimiter();
    limiter.answered(lsn(100), 1000);
    expect(limiter.delayMs(lsn(100), 1000)).toBe(50);
    expect(limiter.delayMs(lsn(100), 1030)).toBe(20);
    expect(limiter.delayMs(lsn(100), 1050)).toBe(0);
    expect(limiter.delayMs(lsn(100), 9000)).toBe(0);
  });
});

describe('a server that asks', () => {
  test('now and then is in normal life', () => {
    const limiter = new ReplyLimiter();
    const storms = Array.from({ length: 500 }, (_, index) =>
      limiter.isShutdownStorm(lsn(100), index * 30_000),
    );
    expect(storms).not.toContain(true);
  });

  test('often, but about positions that move, is in normal life', () => {
    const limiter = new ReplyLimiter();
    const storms = Array.from({ length: 500 }, (_, index) =>
      limiter.isShutdownStorm(lsn(100 + index), index),
    );
    expect(storms).not.toContain(true);
  });

  test('over and over about one position is shutting down', () => {
    const limiter = new ReplyLimiter();
    const storms = Array.from({ length: 60 }, (_, index) => limiter.isShutdownStorm(lsn(100), index));
    expect(storms.indexOf(true)).toBe(19);
    expect(storms.slice(19)).not.toContain(false);
  });

  test('over and over about one position is shutting down, even if it asked about it long before', () => {
    // An idle server: the position has stood for minutes, and was asked about once, when its shutdown begins.
    const limiter = new ReplyLimiter();
    limiter.isShutdownStorm(lsn(100), 0);
    const storms = Array.from({ length: 200 }, (_, index) =>
      limiter.isShutdownStorm(lsn(100), 60_000 + index),
    );
    expect(storms).toContain(true);
  });
});
