import { describe, expect, test } from 'vitest';
import { ownContestants } from '../../../src/bench/contestants/own-contestants.ts';
import { ProcessGuard } from '../../../src/bench/process-guard.ts';
import { eventsOf, factsOfScenario } from '../../../src/bench/scenario.ts';
import { selectContestants, selectScenarios, takesPart } from '../../../src/bench/selection.ts';
import { thrownCode } from '../thrown-code.ts';

const OWN = ownContestants('0.0.0', { env: {}, guard: new ProcessGuard() });
const PEER = { ...OWN[0]!, id: 'debezium', kind: 'peer' } as const;
const idsOf = (items: readonly { readonly id: string }[]) => items.map(({ id }) => id);

describe('without a wish', () => {
  test('all scenarios are run, each id once', () => {
    const ids = idsOf(selectScenarios({ isQuick: false }));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toEqual(
      expect.arrayContaining([
        'steady-50',
        'steady-5000',
        'idle',
        'burst',
        'drain',
        'transaction-100k',
        'backlog-age',
      ]),
    );
  });

  test('each scenario chooses who takes part; peers do where anybody does', () => {
    const scenarios = selectScenarios({ isQuick: false });
    const who = (id: string) => {
      const scenario = scenarios.find((each) => each.id === id)!;
      return idsOf(
        [...OWN, PEER].filter((contestant) => takesPart(contestant, scenario, { isQuick: false })),
      );
    };
    expect(who('steady-500')).toEqual([...idsOf(OWN), 'debezium']);
    expect(who('drain')).toEqual(['walrelay', 'poll-10', 'naive', 'floor', 'debezium']);
    expect(who('streams-10000')).toEqual(['walrelay', 'poll-10']);
  });
});

describe('a wish', () => {
  test('for scenarios and relays is met, in the order of the lists', () => {
    const wishes = { isQuick: false, scenarios: ['drain', 'idle'], relays: ['floor', 'poll-1000'] };
    expect(idsOf(selectScenarios(wishes))).toEqual(['idle', 'drain']);
    expect(idsOf(selectContestants(OWN, wishes))).toEqual(['poll-1000', 'floor']);
  });

  test('for a relay puts it into every scenario', () => {
    const wishes = { isQuick: false, relays: ['poll-1000'] };
    const poll = OWN.find(({ id }) => id === 'poll-1000')!;
    expect(selectScenarios(wishes).every((scenario) => takesPart(poll, scenario, wishes))).toBe(true);
  });

  test.each([
    { scenarios: ['drain', 'steady'], isQuick: false },
    { scenarios: [], isQuick: false },
  ])('for a scenario that there is not is refused', (wishes) => {
    expect(thrownCode(() => selectScenarios(wishes))).toBe('CONFIG_INVALID');
  });

  test('for a relay that there is not is refused, with the list', () => {
    expect(thrownCode(() => selectContestants(OWN, { isQuick: false, relays: ['walrelai'] }))).toBe(
      'CONFIG_INVALID',
    );
    expect(() => selectContestants(OWN, { isQuick: false, relays: ['walrelai'] })).toThrow(/walrelai/);
  });

  test('for peer takes all of them, and is refused where there are none', () => {
    const wishes = { isQuick: false, relays: ['walrelay', 'peer'] };
    expect(idsOf(selectContestants([...OWN, PEER], wishes))).toEqual(['walrelay', 'debezium']);
    expect(thrownCode(() => selectContestants(OWN, wishes))).toBe('CONFIG_INVALID');
  });

  test('for another length or backlog changes the sizes', () => {
    const [drain] = selectScenarios({ isQuick: false, scenarios: ['drain'], drainEvents: 500_000 });
    expect(eventsOf(drain!)).toBe(500_000);
    expect(factsOfScenario(drain!)).toMatchObject({ measures: 'throughput', events: 500_000 });
    const [steady] = selectScenarios({ isQuick: false, scenarios: ['steady-500'], seconds: 10 });
    expect(factsOfScenario(steady!)).toMatchObject({ measures: 'latency', events: 5000, ratePerSecond: 500 });
  });

  test('to be quick looks at a few of both', () => {
    expect(selectScenarios({ isQuick: true }).length).toBeLessThan(5);
    expect(idsOf(selectContestants([...OWN, PEER], { isQuick: true }))).toContain('debezium');
  });
});
