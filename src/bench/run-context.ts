import type { BenchGround } from './bench-ground.ts';
import type { BenchHost } from './bench-host.ts';
import type { Contestant, BenchPlace } from './contestant.ts';
import type { ControlPostgres } from './control-postgres.ts';
import type { ControlRedis } from './control-redis.ts';
import type { DatabaseCounterReader, DatabaseCounters } from './database-counters.ts';
import type { ProcessGuard } from './process-guard.ts';
import type { Scenario } from './scenario.ts';

/** What one run of one contestant in one scenario is given. */
export interface RunContext {
  readonly host: BenchHost;
  readonly guard: ProcessGuard;
  readonly postgres: ControlPostgres;
  readonly redis: ControlRedis;
  readonly ground: BenchGround;
  readonly counters: DatabaseCounterReader;
  readonly place: BenchPlace;
  readonly scenario: Scenario;
  readonly contestant: Contestant;
  readonly seed: number;
  /** What the same load costs without any relay; undefined where that is nothing, or unknown. */
  readonly base: DatabaseCounters | undefined;
  /** What is being done now, for whoever watches. */
  readonly step: (text: string) => void;
}
