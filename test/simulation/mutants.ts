import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { promisify } from 'node:util';
import { bundleSimulation } from './bundle.ts';
import { MUTANTS } from './mutant-list.ts';
import type { Tally } from './simulate.ts';

const run = promisify(execFile);

/**
 * Puts each known bug back, alone, in a copy that is thrown away, and runs schedules until one finds it. Prints a table for the docs.
 * True when all were found.
 */
export async function tryMutants(options: {
  readonly seed: number;
  readonly schedules: number;
  readonly only: string;
}): Promise<boolean> {
  console.log('| the bug that is put back | found after | by |\n| --- | ---: | --- |');
  let areAllFound = true;
  for (const [index, { name, mutations }] of MUTANTS.entries()) {
    if (!name.includes(options.only)) continue;
    const bundle = await bundleSimulation(mutations, `mutant-${index}`);
    const tally = await findFailure(bundle, options.seed, options.schedules);
    await rm(bundle);
    if (tally.failure === null) areAllFound = false;
    const found = tally.failure === null ? `not in ${tally.schedules}` : `${tally.schedules} schedules`;
    console.log(`| ${name} | ${found} | ${tally.failure?.rule ?? ''} |`);
  }
  return areAllFound;
}

async function findFailure(bundle: string, seed: number, schedules: number): Promise<Tally> {
  try {
    const { stdout } = await run(process.execPath, [bundle, String(seed), String(schedules), '1'], {
      timeout: MUTANT_TIMEOUT_MS,
    });
    return JSON.parse(stdout) as Tally;
  } catch (error) {
    // A schedule that breaks a promise ends the program with 1.
    const { stdout } = error as { stdout?: string };
    if (stdout?.startsWith('{') !== true) throw error;
    return JSON.parse(stdout) as Tally;
  }
}

const MUTANT_TIMEOUT_MS = 20 * 60_000;
