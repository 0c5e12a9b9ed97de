import { beforeEach } from 'vitest';
import { chaosSeed } from './chaos-random.ts';
import type { Outbox } from './outbox.ts';
import { Workload, type WorkloadOptions } from './workload.ts';

/** A relay that is quick to come back, so that many faults fit into a run. */
export const QUICK = { WALRELAY_STANDBY_POLL_MS: '20', WALRELAY_BACKOFF_MIN_MS: '20' };

export interface SeededLoad {
  /** That of the test which runs. */
  readonly seed: number;
  start(outbox: Outbox, options?: Partial<WorkloadOptions>): Workload;
}

/** Gives each test of the file a seed of its own, which is shown with it, and a workload that follows it. */
export function seededLoad(): SeededLoad {
  let seed = 0;
  beforeEach(({ task }) => {
    seed = chaosSeed(task.name);
  });
  return {
    get seed() {
      return seed;
    },
    start: (outbox, options = {}) => Workload.start({ databaseUrl: outbox.databaseUrl, seed, ...options }),
  };
}
