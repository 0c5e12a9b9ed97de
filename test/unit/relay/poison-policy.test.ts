import { describe, expect, test } from 'vitest';
import { toLsn } from '../../../src/core/lsn.ts';
import type { Position } from '../../../src/core/position.ts';
import { WalrelayError } from '../../../src/core/walrelay-error.ts';
import { PoisonPolicy, type PoisonSettings } from '../../../src/relay/poison-policy.ts';
import { thrownCode } from '../thrown-code.ts';

const SETTINGS: PoisonSettings = {
  poison: 'dead-letter',
  deadLetterStream: 'dead',
  deadLettersMax: 2,
  deadLetterWindowMs: 1000,
};
const NO_ROUTE = new WalrelayError('EVENT_NO_ROUTE', 'the event has no stream');

function at(commitLsn: bigint, ordinal = 0): Position {
  return { commitLsn: toLsn(commitLsn), ordinal };
}

function refused(lsn: string, seq: string): WalrelayError {
  return new WalrelayError('EVENT_REFUSED', 'WRONGTYPE', { facts: { lsn, seq, stream: 's' } });
}

describe('a refusal', () => {
  test('of one event is remembered by its position until the event stands in the dead letters', () => {
    const policy = new PoisonPolicy(SETTINGS, () => 0);
    const error = refused('0/A', '3');
    expect(policy.hasRefusals).toBe(false);
    expect(policy.takesAside(error)).toBe(true);
    expect(policy.hasRefusals).toBe(true);
    expect(policy.refusalAt(at(10n, 3))).toBe(error);
    expect(policy.refusalAt(at(10n, 2))).toBeUndefined();
    expect(policy.refusalAt(at(11n, 3))).toBeUndefined();
    policy.settled(at(10n, 3));
    expect(policy.hasRefusals).toBe(false);
  });

  test('of an event that was to be taken aside already ends it, so that sessions never turn in a circle', () => {
    const policy = new PoisonPolicy(SETTINGS, () => 0);
    expect(policy.takesAside(refused('0/A', '3'))).toBe(true);
    expect(policy.takesAside(refused('0/A', '3'))).toBe(false);
    expect(policy.takesAside(refused('0/A', '4'))).toBe(true);
  });

  test.each([
    'EVENT_NO_ROUTE',
    'EVENT_TOO_LARGE',
    'DEAD_LETTER_REFUSED',
    'DEAD_LETTER_LIMIT',
    'REDIS_KEY_TYPE',
  ] as const)('by the code %s is none', (code) => {
    const policy = new PoisonPolicy(SETTINGS, () => 0);
    expect(policy.takesAside(new WalrelayError(code, '', { facts: { lsn: '0/A', seq: '0' } }))).toBe(false);
  });

  test('halts where the policy is to halt', () => {
    expect(new PoisonPolicy({ ...SETTINGS, poison: 'halt' }, () => 0).takesAside(refused('0/A', '0'))).toBe(
      false,
    );
  });
});

describe('the limit', () => {
  test('lets so many through within the time, and the next when the first is old enough', () => {
    let nowMs = 5000;
    const policy = new PoisonPolicy(SETTINGS, () => nowMs);
    policy.admit(at(1n), NO_ROUTE);
    nowMs = 5500;
    policy.admit(at(2n), NO_ROUTE);
    nowMs = 6000;
    expect(thrownCode(() => policy.admit(at(3n), NO_ROUTE))).toBe('DEAD_LETTER_LIMIT');
    nowMs = 6001;
    policy.admit(at(3n), NO_ROUTE);
    expect(thrownCode(() => policy.admit(at(4n), NO_ROUTE))).toBe('DEAD_LETTER_LIMIT');
  });

  test('counts an event that is sent again once', () => {
    const policy = new PoisonPolicy(SETTINGS, () => 0);
    for (let life = 0; life < 5; life += 1) policy.admit(at(1n), NO_ROUTE);
    policy.admit(at(1n, 1), NO_ROUTE);
    expect(thrownCode(() => policy.admit(at(2n), NO_ROUTE))).toBe('DEAD_LETTER_LIMIT');
  });

  test('counts what stands there already', () => {
    const policy = new PoisonPolicy(SETTINGS, () => 5000);
    policy.learn(at(1n), 4500);
    policy.learn(at(2n), 3000);
    policy.admit(at(3n), NO_ROUTE);
    expect(thrownCode(() => policy.admit(at(4n), NO_ROUTE))).toBe('DEAD_LETTER_LIMIT');
  });
});
