import type { RunReport } from './bench-report.ts';
import type { Contestant } from './contestant.ts';
import type { Removed } from './leftovers.ts';
import type { ProcessGuard } from './process-guard.ts';
import type { Scenario } from './scenario.ts';

export interface BenchOptions {
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly walrelayVersion: string;
  readonly command: string;
  readonly seed: number;
  /** How long each piece of the floor's latency is measured. */
  readonly floorSeconds: number;
  readonly scenarios: readonly Scenario[];
  takesPart(contestant: Contestant, scenario: Scenario): boolean;
  readonly contestants: readonly Contestant[];
  /** The one that the contestants were made with; closed at the end. */
  readonly guard: ProcessGuard;
  readonly signal: AbortSignal;
}

/** Whoever watches. */
export interface BenchProgress {
  removedLeftovers(removed: readonly Removed[]): void;
  begins(runs: number): void;
  runBegins(title: string): void;
  step(text: string): void;
  runEnds(run: RunReport | undefined): void;
  note(text: string): void;
}
