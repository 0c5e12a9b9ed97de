import type { BenchGround } from './bench-ground.ts';
import type { BenchHost } from './bench-host.ts';
import type { BenchReport, ContestantFacts, FloorReport, RunReport, WriterReport } from './bench-report.ts';
import type { BenchPlace, Contestant } from './contestant.ts';
import type { ControlPostgres } from './control-postgres.ts';
import type { ControlRedis } from './control-redis.ts';
import { DatabaseCounterReader, type DatabaseCounters } from './database-counters.ts';
import { runDrain } from './drain-run.ts';
import { measureFloor } from './floor-probes.ts';
import { runBase, runLatency, streamsOf } from './latency-run.ts';
import { TABLE_NAME } from './load-backlog.ts';
import type { ProcessGuard } from './process-guard.ts';
import { remarksOn } from './remarks.ts';
import type { BenchOptions, BenchProgress } from './bench-options.ts';
import type { RunContext } from './run-context.ts';
import { factsOfScenario, type Scenario } from './scenario.ts';
import { seededRandom, shuffled } from './seeded-random.ts';
import { measureWriters } from './writer-costs.ts';
import { machineFacts, postgresFacts, redisFacts } from './server-facts.ts';

/** What the whole bench works with. */
export interface BenchMeans {
  readonly postgres: ControlPostgres;
  readonly redis: ControlRedis;
  readonly ground: BenchGround;
  readonly guard: ProcessGuard;
}

/** Every contestant in every scenario, one after the other, then the floor; and the report of it. */
export class Measurement {
  readonly #options: BenchOptions;
  readonly #host: BenchHost;
  readonly #progress: BenchProgress;
  readonly #means: BenchMeans;
  readonly #runs: RunReport[] = [];
  #places = 0;

  constructor(options: BenchOptions, host: BenchHost, progress: BenchProgress, means: BenchMeans) {
    this.#options = options;
    this.#host = host;
    this.#progress = progress;
    this.#means = means;
  }

  async run(startedAt: string): Promise<BenchReport> {
    const { signal, scenarios, seed, contestants } = this.#options;
    const { postgres, redis, ground } = this.#means;
    const counters = await DatabaseCounterReader.open(postgres, ground.names.name);
    const facts = await this.#lookAt(contestants);
    const canRun = contestants.filter(
      ({ id }) => facts.find((fact) => fact.id === id)?.unavailable === undefined,
    );
    const random = seededRandom(seed);
    const plan = scenarios.map((scenario) => ({
      scenario,
      // Another order in each scenario, so that nobody always comes after the same one.
      order: shuffled(
        canRun.filter((contestant) => this.#options.takesPart(contestant, scenario)),
        random,
      ),
    }));
    this.#progress.begins(plan.reduce((sum, { order }) => sum + order.length, 0));

    const machine = machineFacts(this.#host);
    const postgresAre = await postgresFacts(postgres);
    const redisAre = await redisFacts(redis);
    for (const { scenario, order } of plan) {
      if (signal.aborted) break;
      const base = await this.#base(scenario, counters, order.length);
      for (const contestant of order) {
        if (signal.aborted) break;
        this.#progress.runBegins(`${scenario.id}, ${contestant.id}`);
        const run = await this.#run(contestant, scenario, counters, base);
        if (run !== undefined) this.#runs.push(run);
        this.#progress.runEnds(run);
      }
    }
    const floor = await this.#floor();
    const writers = await this.#writers();
    return {
      format: 1,
      walrelayVersion: this.#options.walrelayVersion,
      startedAt,
      finishedAt: new Date().toISOString(),
      isComplete: !signal.aborted && this.#runs.every(({ outcome }) => outcome !== 'failed'),
      command: this.#options.command,
      machine,
      postgres: postgresAre,
      redis: redisAre,
      contestants: facts,
      scenarios: scenarios.map(factsOfScenario),
      runs: this.#runs,
      floor,
      ...(writers === undefined ? {} : { writers }),
      remarks: remarksOn({
        machine,
        postgres: postgresAre,
        redis: redisAre,
        hasStatements: counters.hasStatements,
        seed,
      }),
    };
  }

  async #floor(): Promise<FloorReport> {
    const { signal, scenarios, seed } = this.#options;
    if (signal.aborted) return { notes: ['It was interrupted before the floor was measured.'] };
    this.#progress.runBegins('the floor');
    const floor = await measureFloor({
      ...this.#means,
      host: this.#host,
      runs: this.#runs,
      scenarios,
      seed,
      seconds: this.#options.floorSeconds,
      freshPlace: async () => await this.#freshPlace(),
      step: (text) => this.#progress.step(text),
    });
    this.#progress.runEnds(undefined);
    return floor;
  }

  async #writers(): Promise<WriterReport | undefined> {
    const { signal, seed, databaseUrl, floorSeconds } = this.#options;
    if (signal.aborted) return undefined;
    this.#progress.step('what an event costs its writer');
    const { name: schema } = this.#means.ground.names;
    try {
      return await measureWriters({ databaseUrl, schema, seed, signal, seconds: 2 * floorSeconds });
    } catch (error) {
      if (signal.aborted) return undefined;
      return { payloadBytes: 0, costs: [], notes: [`It was not measured: ${messageOf(error)}`] };
    }
  }

  /** Who can run here, and why not. */
  async #lookAt(contestants: readonly Contestant[]): Promise<ContestantFacts[]> {
    const facts: ContestantFacts[] = [];
    const place = await this.#freshPlace();
    for (const contestant of contestants) {
      this.#progress.step(`looking at ${contestant.id}`);
      const { id, name, kind, summary, version } = contestant;
      const unavailable = await contestant.unavailable(place).catch((error: unknown) => messageOf(error));
      facts.push({
        id,
        name,
        kind,
        summary,
        ...(version === undefined ? {} : { version }),
        ...(unavailable === undefined ? {} : { unavailable }),
      });
      if (unavailable !== undefined) this.#progress.note(`${id} can't run here: ${unavailable}`);
    }
    return facts;
  }

  async #base(
    scenario: Scenario,
    counters: DatabaseCounterReader,
    contestants: number,
  ): Promise<DatabaseCounters | undefined> {
    if (scenario.kind !== 'latency' || contestants === 0) return undefined;
    this.#progress.runBegins(`${scenario.id}, the load alone`);
    const place = await this.#freshPlace();
    try {
      return await runBase({ ...this.#context(place, scenario, counters) });
    } catch (error) {
      if (this.#options.signal.aborted) return undefined;
      throw error;
    } finally {
      this.#progress.runEnds(undefined);
    }
  }

  /** Undefined when it was interrupted. */
  async #run(
    contestant: Contestant,
    scenario: Scenario,
    counters: DatabaseCounterReader,
    base: DatabaseCounters | undefined,
  ): Promise<RunReport | undefined> {
    const reason = scenario.unsuitable?.(contestant.id);
    if (reason !== undefined) return withoutFigures(contestant, scenario, 'skipped', reason);
    const place = await this.#freshPlace();
    const context: RunContext = { ...this.#context(place, scenario, counters), contestant, base };
    try {
      context.step('setting up');
      await contestant.setUp(place);
      return await (scenario.kind === 'latency' ? runLatency(context) : runDrain(context));
    } catch (error) {
      if (this.#options.signal.aborted) return undefined;
      return withoutFigures(contestant, scenario, 'failed', messageOf(error));
    } finally {
      context.step('tearing down');
      await contestant.tearDown(place).catch((error: unknown) => {
        this.#progress.note(`${contestant.id} was not torn down: ${messageOf(error)}`);
      });
      // By name: a scan would walk through all that the user keeps there. What else a relay wrote is small and goes at the end.
      await this.#means.redis.remove(streamsOf(context));
    }
  }

  #context(place: BenchPlace, scenario: Scenario, counters: DatabaseCounterReader) {
    const { postgres, redis, ground, guard } = this.#means;
    const step = (text: string) => this.#progress.step(text);
    const { seed } = this.#options;
    return { host: this.#host, guard, postgres, redis, ground, counters, place, scenario, seed, step };
  }

  /** A table, names and keys that nobody has used before. */
  async #freshPlace(): Promise<BenchPlace> {
    const { names } = this.#means.ground;
    await this.#means.ground.freshTable();
    this.#places += 1;
    return {
      databaseUrl: this.#options.databaseUrl,
      redisUrl: this.#options.redisUrl,
      name: `${names.name}_${this.#places}`,
      table: { schema: names.name, name: TABLE_NAME },
      keyPrefix: `${names.keyPrefix}${this.#places}:`,
      dir: this.#means.guard.freshDir(String(this.#places)),
      signal: this.#options.signal,
    };
  }
}

function withoutFigures(
  contestant: Contestant,
  scenario: Scenario,
  outcome: 'failed' | 'skipped',
  reason: string,
): RunReport {
  return {
    contestant: contestant.id,
    scenario: scenario.id,
    outcome,
    reason,
    seconds: 0,
    committed: 0,
    check: { missing: 0, duplicated: 0, misordered: 0, timedOut: false },
    processes: {},
    database: {},
  };
}

/** Short: it stands in a table. */
function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.length > REASON_CHARS_MAX ? `${text.slice(0, REASON_CHARS_MAX)} …` : text;
}

const REASON_CHARS_MAX = 600;
