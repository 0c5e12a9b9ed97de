import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { bundleSimulation } from '../../simulation/bundle.ts';
import { simulateSeeds } from '../../simulation/crew.ts';
import { MUTANTS } from '../../simulation/mutant-list.ts';

/** Seconds on a machine of its own; one that is busy with other things takes many times as long. */
const BUSY_MACHINE_MS = 120_000;

test.each([
  ['a fixed seed', 1, 700],
  ['a new seed', randomInt(1, 1_000_000_000), 300],
])(
  'from %s (%i), %i schedules of faults keep every promise',
  async (_, seed, schedules) => {
    const bundle = await bundleSimulation([], `unit-${seed}`);
    const tally = await simulateSeeds({ bundle, fromSeed: seed, schedules });
    expect(tally.failure).toBeNull();
    expect(tally).toMatchObject({ schedules });
    // A schedule in which nothing happens would keep every promise, too.
    expect(tally.events).toBeGreaterThan(schedules);
    expect(Object.keys(tally.faults).length).toBeGreaterThan(15);
  },
  BUSY_MACHINE_MS,
);

test(
  'a bug that is put back is found: confirming plus one',
  async () => {
    const mutant = MUTANTS.find(({ name }) => name === 'confirm plus one');
    const bundle = await bundleSimulation(mutant?.mutations, 'unit-mutant');
    const { failure } = await simulateSeeds({ bundle, fromSeed: 1, schedules: 20 });
    expect(failure?.rule).toMatch(/^I5 /);
  },
  BUSY_MACHINE_MS,
);
