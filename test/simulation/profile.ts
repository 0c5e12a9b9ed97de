import type { Settings } from '../../src/config/settings.ts';
import type { Durability } from '../../src/core/durability.ts';
import type { Draws } from './draws.ts';
import { FAULTS } from './faults.ts';

/** What all steps of one schedule have in common. */
export interface Profile {
  readonly settings: Partial<Settings>;
  /** How many relays run at most. */
  readonly relays: number;
  readonly aggregates: readonly string[];
  readonly hugeEvents: number;
  readonly hasUnroutable: boolean;
  /** The first relay streams already when the steps begin. */
  readonly isWarm: boolean;
  /** The faults that may happen. Few kinds at a time go deeper than all of them at once. */
  readonly faults: ReadonlySet<string>;
  /** Of 100 steps, about so many are faults. */
  readonly faultShare: number;
}

export function drawProfile(draws: Draws): Profile {
  const faults = new Set<string>();
  const kinds = draws.between(0, 5);
  for (let count = 0; count < kinds; count += 1) faults.add(draws.pick(WEIGHTED).name);
  const isCluster = draws.once(2);
  return {
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
    },
    relays: draws.pick([1, 2, 2, 3]),
    aggregates: draws.pick([['a', 'b'], ['a'], ['a', 'b', 'c'], ['a', 'p{1}', 'q{1}', 'r{2}']]),
    hugeEvents: draws.pick([6, 12]),
    isWarm: !draws.once(4),
    hasUnroutable: draws.once(20),
    faults,
    faultShare: draws.pick([8, 4, 15]),
  };
}

const DURABILITIES: readonly Durability[] = [
  { level: 'reply' },
  { level: 'reply' },
  { level: 'fsync' },
  { level: 'replicas', replicas: 1 },
];

const WEIGHTED = FAULTS.flatMap((fault) => Array.from({ length: fault.weight }, () => fault));
