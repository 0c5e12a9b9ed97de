import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { computeLiveness } from '../../../src/relay/liveness.ts';

const settings = { statusIntervalMs: 10_000, serverSilenceMs: 30_000 };

describe('status updates', () => {
  test('go out as set when the server is patient', () => {
    expect(computeLiveness(settings, 60_000)).toEqual(settings);
    expect(computeLiveness(settings, 0)).toEqual(settings);
  });

  test('go out three times within the patience of the server', () => {
    expect(computeLiveness(settings, 3_000).statusIntervalMs).toBe(1_000);
    expect(computeLiveness(settings, 1_000).statusIntervalMs).toBe(333);
  });

  test('never go out more than twenty times a second', () => {
    expect(computeLiveness(settings, 1).statusIntervalMs).toBe(50);
    expect(computeLiveness({ ...settings, statusIntervalMs: 1 }, 60_000).statusIntervalMs).toBe(50);
  });
});

test('silence outlasts two updates, each of which asks for an answer', () => {
  expect(computeLiveness({ statusIntervalMs: 10_000, serverSilenceMs: 5_000 }, 60_000).serverSilenceMs).toBe(
    20_000,
  );
  fc.assert(
    fc.property(
      fc.nat(100_000),
      fc.nat(100_000),
      fc.nat(1_000_000),
      (statusIntervalMs, serverSilenceMs, patience) => {
        const liveness = computeLiveness({ statusIntervalMs, serverSilenceMs }, patience);
        expect(liveness.serverSilenceMs).toBeGreaterThanOrEqual(2 * liveness.statusIntervalMs);
        expect(liveness.serverSilenceMs).toBeGreaterThanOrEqual(serverSilenceMs);
      },
    ),
  );
});
