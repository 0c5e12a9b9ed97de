import { execFile } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { bundleSimulation } from '../../simulation/bundle.ts';
import { MUTANTS } from '../../simulation/mutant-list.ts';
import type { Tally } from '../../simulation/simulate.ts';

const run = promisify(execFile);
/** Seconds on a machine of its own; one that is busy with other things takes many times as long. */
const BUSY_MACHINE_MS = 120_000;

test.each([
  ['a fixed seed', 1, 700],
  ['a new seed', randomInt(1, 1_000_000_000), 300],
])(
  'from %s (%i), %i schedules of faults keep every promise',
  async (_, seed, schedules) => {
    const tally = await simulate(await bundleSimulation([], `unit-${seed}`), seed, schedules);
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
    expect((await simulate(bundle, 1, 20)).failure?.rule).toMatch(/^I5 /);
  },
  BUSY_MACHINE_MS,
);

/** Runs apart from the tests: its clocks and timers are not those of this process. */
async function simulate(bundle: string, seed: number, schedules: number): Promise<Tally> {
  const args = [bundle, String(seed), String(schedules), '1'];
  const { stdout } = await run(process.execPath, args).catch((error: { stdout: string }) => error);
  return JSON.parse(stdout) as Tally;
}
