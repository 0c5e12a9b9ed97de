import { WalrelayError } from '../core/walrelay-error.ts';
import type { Contestant } from './contestant.ts';
import type { Scenario } from './scenario.ts';
import {
  allScenarios,
  DEFAULT_SIZES,
  QUICK_CONTESTANTS,
  QUICK_SCENARIOS,
  QUICK_SIZES,
  type ScenarioSizes,
} from './scenarios.ts';

/** What somebody asked for on the command line; absent: the default. */
export interface Wishes {
  readonly scenarios?: readonly string[] | undefined;
  readonly relays?: readonly string[] | undefined;
  readonly isQuick: boolean;
  /** The measured part of each steady rate. */
  readonly seconds?: number | undefined;
  readonly drainEvents?: number | undefined;
}

/** The scenarios to run. Throws CONFIG_INVALID with the list when there is none of that name. */
export function selectScenarios(wishes: Wishes): readonly Scenario[] {
  const sizes: ScenarioSizes = wishes.isQuick ? QUICK_SIZES : DEFAULT_SIZES;
  const all = allScenarios({
    seconds: wishes.seconds ?? sizes.seconds,
    warmupSeconds: sizes.warmupSeconds,
    drainEvents: wishes.drainEvents ?? sizes.drainEvents,
  });
  const wanted = wishes.scenarios ?? (wishes.isQuick ? QUICK_SCENARIOS : undefined);
  return only(all, wanted, '--scenario');
}

/** How long each piece of the floor's latency is measured. */
export function floorSeconds(wishes: Wishes): number {
  const { seconds } = wishes.isQuick ? QUICK_SIZES : DEFAULT_SIZES;
  return Math.min(FLOOR_SECONDS_MAX, wishes.seconds ?? seconds);
}

/** The relays that take part at all. Throws CONFIG_INVALID with the list when there is none of that name. */
export function selectContestants(all: readonly Contestant[], wishes: Wishes): readonly Contestant[] {
  if (wishes.relays !== undefined) return only(all, withPeers(wishes.relays, all), '--relay');
  if (!wishes.isQuick) return all;
  return all.filter((contestant) => isAmong(contestant, QUICK_CONTESTANTS));
}

/** Who is named takes part in everything; else each scenario has its own choice, so that a run takes minutes. */
export function takesPart(contestant: Contestant, scenario: Scenario, wishes: Wishes): boolean {
  if (wishes.relays !== undefined || wishes.isQuick || scenario.contestants === undefined) return true;
  return isAmong(contestant, scenario.contestants);
}

/** Some hundred samples; more say nothing else. */
const FLOOR_SECONDS_MAX = 8;

function isAmong({ id, kind }: Contestant, names: readonly string[]): boolean {
  return names.includes(id) || (kind === 'peer' && names.includes('peer'));
}

/** `peer` stands for all of them; without --peers there are none, and it is refused like any other name. */
function withPeers(names: readonly string[], all: readonly Contestant[]): readonly string[] {
  const peers = all.filter(({ kind }) => kind === 'peer').map(({ id }) => id);
  return names.flatMap((name) => (name === 'peer' && peers.length > 0 ? peers : [name]));
}

function only<T extends { readonly id: string }>(
  all: readonly T[],
  wanted: readonly string[] | undefined,
  option: string,
): readonly T[] {
  if (wanted === undefined) return all;
  const ids = all.map(({ id }) => id);
  const unknown = wanted.filter((id) => !ids.includes(id));
  if (unknown.length > 0 || wanted.length === 0) {
    throw new WalrelayError(
      'CONFIG_INVALID',
      `${option}: ${unknown.length === 0 ? 'nothing is named' : `there is no ${unknown.join(', ')}`}`,
      { hint: `Choose from: ${ids.join(', ')}.` },
    );
  }
  return all.filter(({ id }) => wanted.includes(id));
}
