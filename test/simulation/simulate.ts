import { type Outcome, runSchedule, runSeed } from './run-schedule.ts';
import { shrink } from './shrink.ts';
import type { Tally } from './tally.ts';
import { installVirtualTime } from './virtual-time.ts';
import { Violation } from './violation.ts';

/**
 * The program that is bundled and started once per core. It does what it is told over the channel to whoever started it: runs the
 * schedules of consecutive seeds until one breaks a promise; or makes the schedule of one seed small, and tells it on stderr.
 */
export type Order = { readonly fromSeed: number; readonly count: number } | { readonly tellSeed: number };

// Errors are made by the thousand here, and few are read.
Error.stackTraceLimit = 0;
let rejection: string | null = null;
process.on('unhandledRejection', (error) => {
  rejection ??= error instanceof Error ? error.message : 'no error';
});
installVirtualTime();

// Whoever started it is gone, and nobody wants to know any more.
process.on('disconnect', () => process.exit());
process.on('message', (order: Order) => {
  void obey(order).then((tally) => process.send?.(tally));
});

async function obey(order: Order): Promise<Tally | null> {
  if ('fromSeed' in order) return runSeeds(order.fromSeed, order.count);
  await tell(order.tellSeed);
  return null;
}

async function runSeeds(fromSeed: number, count: number): Promise<Tally> {
  const before = process.cpuUsage();
  const faults: Record<string, number> = {};
  const halts: Record<string, number> = {};
  let schedules = 0;
  let steps = 0;
  let events = 0;
  let failure: Tally['failure'] = null;
  for (let seed = fromSeed; seed < fromSeed + count && failure === null; seed += 1) {
    const outcome = await runToTheEnd(() => runSeed(seed));
    schedules += 1;
    steps += outcome.stepCount;
    events += outcome.events;
    for (const [name, times] of outcome.faults) faults[name] = (faults[name] ?? 0) + times;
    if (outcome.halt !== null) halts[outcome.halt] = (halts[outcome.halt] ?? 0) + 1;
    const { violation } = outcome;
    if (violation !== null) failure = { seed, rule: violation.rule, message: violation.message };
  }
  const { user, system } = process.cpuUsage(before);
  return { schedules, steps, events, cpuSeconds: (user + system) / 1e6, faults, halts, failure };
}

/** Lets the rest of Node have its turn, too: a rejection that nobody handles is reported only then. */
async function runToTheEnd(run: () => Promise<Outcome>): Promise<Outcome> {
  rejection = null;
  const outcome = await run();
  await new Promise((resolve) => setImmediate(resolve));
  if (rejection === null || outcome.violation !== null) return outcome;
  return { ...outcome, violation: new Violation('a rejection that nobody handles', rejection) };
}

async function tell(seed: number): Promise<void> {
  const outcome = await runToTheEnd(() => runSeed(seed));
  const smallest = await shrink(outcome, (schedule) => runToTheEnd(() => runSchedule(schedule)));
  Error.stackTraceLimit = 20;
  const { trace, violation, schedule } = await runToTheEnd(() =>
    runSchedule(smallest.outcome.schedule, true),
  );
  const lines = [
    '',
    `seed ${seed}, made small in ${smallest.attempts} attempts: ${schedule.steps.length} steps of ${outcome.schedule.steps.length}`,
    '',
    ...trace,
    '',
    `BROKEN  ${violation?.message ?? 'nothing any more: this is no function of the schedule alone'}`,
    ...(violation?.rule === 'the simulation itself failed' ? [violation.stack ?? ''] : []),
    '',
    `Again: npm run simulate -- --seed ${seed} --schedules 1`,
  ];
  await new Promise((resolve) => process.stderr.write(`${lines.join('\n')}\n`, resolve));
}
