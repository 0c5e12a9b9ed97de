import { rm } from 'node:fs/promises';
import { bundleSimulation } from './bundle.ts';
import { simulateSeeds } from './crew.ts';
import { MUTANTS } from './mutant-list.ts';

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
    const { failure, schedules } = await simulateSeeds({
      bundle,
      fromSeed: options.seed,
      schedules: options.schedules,
    });
    await rm(bundle);
    if (failure === null) areAllFound = false;
    const found = failure === null ? `not in ${schedules}` : `${schedules} schedules`;
    console.log(`| ${name} | ${found} | ${failure?.rule ?? ''} |`);
  }
  return areAllFound;
}
