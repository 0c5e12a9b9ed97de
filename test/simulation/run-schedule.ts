import { Random } from '../support/chaos-random.ts';
import { DRAW_LIMIT, Draws } from './draws.ts';
import { heal, postgresUp } from './faults.ts';
import { drawProfile, type Profile } from './profile.ts';
import { simulatedSettings } from './relay-process.ts';
import { goOn, letStream, ORDINARY_STEPS, type StepKind } from './steps.ts';
import { Violation } from './violation.ts';
import { World } from './world.ts';

/** Everything that a schedule decided: what its steps have in common, then each step. */
export interface Schedule {
  readonly profile: readonly number[];
  readonly steps: readonly (readonly number[])[];
}

export interface Outcome {
  readonly schedule: Schedule;
  /** What was broken; null when every promise was kept. */
  readonly violation: Violation | null;
  /** Why the relay has stopped for good, where that was right. */
  readonly halt: string | null;
  readonly stepCount: number;
  readonly events: number;
  /** How often what happened, by name. */
  readonly faults: ReadonlyMap<string, number>;
  readonly trace: readonly string[];
}

/** Makes up a schedule from a seed and runs it. */
export function runSeed(seed: number): Promise<Outcome> {
  const random = new Random(seed);
  const length = random.int(10, STEPS_MAX);
  return run({ random, stepCount: length, given: null, isTracing: false });
}

/** Runs a recorded schedule, or what is left of one. */
export function runSchedule(schedule: Schedule, isTracing = false): Promise<Outcome> {
  return run({ random: null, stepCount: schedule.steps.length, given: schedule, isTracing });
}

async function run(options: {
  readonly random: Random | null;
  readonly stepCount: number;
  readonly given: Schedule | null;
  readonly isTracing: boolean;
}): Promise<Outcome> {
  const { random, given, isTracing } = options;
  const profileDraws = new Draws(given?.profile ?? [], random);
  const profile = drawProfile(profileDraws);
  const steps: number[][] = [];
  const faults = new Map<string, number>();
  const world = new World(simulatedSettings(profile.settings), isTracing, profile.arrivals);
  let violation: Violation | null = null;
  let halt: string | null = null;
  let stepCount = 0;
  try {
    await world.startProcess();
    while (profile.isWarm && !world.isStreaming) await goOn(world);
    for (; stepCount < options.stepCount; stepCount += 1) {
      const draws = new Draws(given?.steps[stepCount] ?? [], random);
      steps.push(draws.taken);
      const kind = pickKind(draws, profile);
      if (kind.isFault && profile.isPatient) await letStream(world);
      const told = await kind.act(world, draws, profile);
      if (told === null) await goOn(world);
      else {
        if (told !== '') world.note(kind.isFault ? `** ${told}` : told);
        if (kind.isFault) faults.set(kind.name, (faults.get(kind.name) ?? 0) + 1);
        world.check();
      }
    }
    halt = await settle(world);
  } catch (error) {
    violation =
      error instanceof Violation ? error : new Violation('the simulation itself failed', String(error));
    if (!(error instanceof Violation)) violation.stack = (error as Error).stack ?? '';
    world.note(`BROKEN: ${violation.message}`);
  }
  return {
    schedule: { profile: profileDraws.taken, steps },
    violation,
    halt,
    stepCount: stepCount + world.settledSteps,
    events: world.oracle.appendedEvents,
    faults,
    trace: world.trace,
  };
}

function pickKind(draws: Draws, profile: Profile): StepKind {
  const roll = draws.next();
  if (profile.faults.length > 0 && roll % 100 >= 100 - profile.faultShare) return draws.pick(profile.faults);
  let rest = (Math.floor(roll / 100) / ROLLS) * profile.weightSum;
  for (const [at, kind] of ORDINARY_STEPS.entries()) {
    rest -= profile.weights[at] as number;
    if (rest < 0) return kind;
  }
  return ORDINARY_STEPS[0] as StepKind;
}

/**
 * Nothing fails any more: either everything that was committed stands and is confirmed, or every relay has stopped
 * with a reason that is true. Returns that reason.
 */
async function settle(world: World): Promise<string | null> {
  await heal(world);
  const { oracle, postgres } = world;
  let restarts = 0;
  for (; world.settledSteps < SETTLE_STEPS_MAX; world.settledSteps += 1) {
    if (postgres.phase === 'down') postgresUp(world);
    if (world.living.length === 0) {
      const reason = oracle.reasonToHalt();
      // Whoever stopped is started once more: the reason must be one that lasts.
      if (restarts > 0 && reason !== null) return reason;
      if (restarts > 3)
        throw new Violation('stops again and again without a reason', world.processes.at(-1)?.exit ?? '');
      restarts += 1;
      await world.startProcess();
    }
    if (
      postgres.phase === 'up' &&
      postgres.slotLsn >= oracle.lastEndLsn &&
      oracle.isComplete &&
      oracle.reasonToHalt() === null &&
      world.isStreaming
    ) {
      return null;
    }
    await goOn(world);
  }
  throw new Violation('nothing moves, though nothing fails', world.describe());
}

const STEPS_MAX = 90;
const SETTLE_STEPS_MAX = 4000;
const ROLLS = Math.ceil(DRAW_LIMIT / 100);
