import type { Contestant } from '../contestant.ts';
import type { ProgramOptions } from '../program-process.ts';
import { floorContestant } from './floor.ts';
import { naiveContestant } from './naive.ts';
import { notifyContestant, pollingContestant } from './polling.ts';
import { walrelayContestant } from './walrelay.ts';

/** Whoever comes with the package. `version` is the package's. */
export function ownContestants(version: string, options: ProgramOptions): Contestant[] {
  return [
    walrelayContestant(version, options),
    pollingContestant(1000, version, options),
    pollingContestant(100, version, options),
    pollingContestant(10, version, options),
    notifyContestant(version, options),
    naiveContestant(options),
    floorContestant(options),
  ];
}
