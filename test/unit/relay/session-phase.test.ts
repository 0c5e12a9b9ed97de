import { expect, test } from 'vitest';
import { nextPhase, type SessionPhase } from '../../../src/relay/session-phase.ts';
import { thrownCode } from '../thrown-code.ts';

const PHASES: readonly SessionPhase[] = [
  'connecting',
  'guarding',
  'standby',
  'claiming',
  'streaming',
  'draining',
  'closed',
];

const STEPS: Readonly<Record<SessionPhase, readonly SessionPhase[]>> = {
  connecting: ['guarding', 'closed'],
  guarding: ['standby', 'claiming', 'closed'],
  standby: ['guarding', 'closed'],
  claiming: ['streaming', 'closed'],
  streaming: ['draining', 'closed'],
  draining: ['closed'],
  closed: [],
};

test.each(PHASES.flatMap((from) => PHASES.map((to) => [from, to] as const)))(
  'from %s to %s is a step of the life of a session, or a bug',
  (from, to) => {
    expect(thrownCode(() => nextPhase(from, to))).toBe(STEPS[from].includes(to) ? null : 'BUG');
  },
);

test('a standby asks every guard again before it claims: what was true before the wait need not be true after', () => {
  expect(thrownCode(() => nextPhase('standby', 'claiming'))).toBe('BUG');
  expect(nextPhase(nextPhase('standby', 'guarding'), 'claiming')).toBe('claiming');
});
