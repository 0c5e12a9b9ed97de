import type { Settings } from '../../src/config/settings.ts';
import type { Durability } from '../../src/core/durability.ts';
import { Random } from '../support/chaos-random.ts';
import type { Draws } from './draws.ts';
import { FAULTS } from './faults.ts';
import { ORDINARY_STEPS, type StepKind } from './steps.ts';
import type { Arrivals } from './world.ts';

/** What all steps of one schedule have in common. */
export interface Profile {
  readonly settings: Partial<Settings>;
  readonly arrivals: Arrivals;
  /** How many relays run at most. */
  readonly relays: number;
  readonly aggregates: readonly string[];
  readonly hugeEvents: number;
  readonly hasUnroutable: boolean;
  /** The first relay streams already when the steps begin. */
  readonly isWarm: boolean;
  /** The faults that may happen. Few kinds at a time go deeper than all of them at once. */
  readonly faults: readonly StepKind[];
  /** How often each of the ordinary steps comes: schedules that are alike in that meet the same things again and again. */
  readonly weights: readonly number[];
  readonly weightSum: number;
  /** Of 100 steps, about so many are faults. */
  readonly faultShare: number;
  /** Nothing fails until a relay streams again: most faults would meet one that has nothing to lose. */
  readonly isPatient: boolean;
}

export function drawProfile(draws: Draws): Profile {
  const weights = ORDINARY_STEPS.map(({ weight }) => weight * draws.pick(FACTORS));
  const faults = new Set<StepKind>();
  for (let left = draws.pick(FAULT_KINDS); left > 0; left -= 1) faults.add(draws.pick(WEIGHTED));
  const isCluster = draws.once(2);
  const order = draws.below(4);
  return {
    arrivals: order < 2 ? ARRIVALS[order as 0 | 1] : new Random(draws.next()),
    settings: {
      redisMode: isCluster ? 'cluster' : 'standalone',
      durability: draws.pick(DURABILITIES),
      replayWindowMs: draws.pick([0, 0, 5000, 1000]),
      batchEventsMax: draws.pick([2, 1, 3, 5]),
      batchBytesMax: 4096,
      inFlightBatchesMax: draws.pick([2, 1, 3]),
      eventBytesMax: 4096,
      memoryBudgetBytes: draws.pick([200_000, 60_000, 30_000]),
      watchIntervalMs: draws.pick([200, 1000]),
      backoffMaxMs: 400,
      // Looks at what others do: often enough to see it, and no more.
      standbyPollMs: draws.pick([1000, 200]),
      walLookIntervalMs: 60_000,
    },
    relays: draws.pick([1, 2, 2, 3]),
    aggregates: draws.pick([['a', 'b'], ['a'], ['a', 'b', 'c'], ['a', 'p{1}', 'q{1}', 'r{2}']]),
    hugeEvents: draws.pick([6, 12]),
    isWarm: !draws.once(4),
    hasUnroutable: draws.once(20),
    faults: [...faults],
    faultShare: draws.pick([8, 4, 15]),
    isPatient: draws.once(2),
    weights,
    weightSum: weights.reduce((sum, weight) => sum + weight, 0),
  };
}

const ARRIVALS = ['oldest connection first', 'newest connection first'] as const;
const FAULT_KINDS = [0, 1, 2, 2, 3, 5] as const;
const FACTORS = [1, 1, 0.25, 4] as const;

const DURABILITIES: readonly Durability[] = [
  { level: 'reply' },
  { level: 'reply' },
  { level: 'fsync' },
  { level: 'replicas', replicas: 1 },
];

const WEIGHTED = FAULTS.flatMap((fault) => Array.from({ length: fault.weight }, () => fault));
