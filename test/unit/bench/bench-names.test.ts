import { describe, expect, test } from 'vitest';
import { namesOfRun, runIdOfKey, runIdOfName } from '../../../src/bench/bench-names.ts';

describe('the names of a run', () => {
  test('carry its id, and are recognised by it', () => {
    const names = namesOfRun('0123abcd');
    expect(names.name).toBe('walrelay_bench_0123abcd');
    expect(runIdOfName(names.name)).toBe('0123abcd');
    expect(runIdOfName(`${names.name}_12`)).toBe('0123abcd');
    expect(runIdOfName(`${names.name}_12_decode`)).toBe('0123abcd');
    expect(runIdOfKey(`${names.keyPrefix}1:s0`)).toBe('0123abcd');
    expect(runIdOfKey(names.markerKey)).toBe('0123abcd');
  });

  test('fit into an identifier with what a contestant adds', () => {
    expect(`${namesOfRun('ffffffff').name}_999`.length).toBeLessThanOrEqual(40);
  });

  test('lock with two numbers of 32 bits', () => {
    for (const key of namesOfRun('ffffffff').lockKeys) expect(key | 0).toBe(key);
    expect(namesOfRun('00000001').lockKeys).not.toEqual(namesOfRun('80000001').lockKeys);
  });

  test('are made of an id only', () => {
    expect(() => namesOfRun('x')).toThrow(/no run id/);
    expect(() => namesOfRun('0123abcd; DROP')).toThrow(/no run id/);
  });
});

describe('what somebody else made', () => {
  test.each([
    'walrelay',
    'walrelay_bench',
    'walrelay_bench_',
    'walrelay_bench_0123abc',
    'walrelay_bench_0123abcde',
    'walrelay_bench_0123ABCD',
    'walrelay_bench_0123abcd-x',
    'my_walrelay_bench_0123abcd',
    'walrelay_bench_customer',
  ])('is not ours by its name: %s', (name) => {
    expect(runIdOfName(name)).toBeUndefined();
  });

  test.each([
    'walrelay_bench:0123abcd',
    'walrelay_bench:0123abcdx:1',
    'walrelay_bench:*:',
    'x:walrelay_bench:0123abcd:',
  ])('is not ours by its key: %s', (key) => {
    expect(runIdOfKey(key)).toBeUndefined();
  });
});
