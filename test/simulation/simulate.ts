import { performance as realPerformance } from 'node:perf_hooks';
import { type Outcome, runSchedule, runSeed } from './run-schedule.ts';
import { shrink } from './shrink.ts';
import { installVirtualTime } from './virtual-time.ts';

/**
 * The program that main.ts bundles and starts: runs schedules of consecutive seeds until one breaks a promise, makes that one
 * small, and tells it. Ends with 1 then, and with a line of JSON for whoever started it.
 */
const [fromSeed = 1, scheduleCount = 1, isQuiet = 0] = process.argv.slice(2).map(Number);

export interface Tally {
  readonly schedules: number;
  readonly steps: number;
  readonly events: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly faults: Readonly<Record<string, number>>;
  /** How schedules ended that did not end well, by the code that the relay stopped with. */
  readonly halts: Readonly<Record<string, number>>;
  readonly failure: { readonly seed: number; readonly rule: string; readonly message: string } | null;
}

const startedAtMs = realPerformance.now();
const faults = new Map<string, number>();
const halts = new Map<string, number>();
let schedules = 0;
let steps = 0;
let events = 0;
let shownAtMs = startedAtMs;

// Errors are made by the thousand here, and few are read.
Error.stackTraceLimit = 0;
let rejection: Error | null = null;
process.on('unhandledRejection', (error) => {
  rejection ??= error instanceof Error ? error : new Error('thrown');
});
installVirtualTime();

let failed: { readonly seed: number; readonly outcome: Outcome } | null = null;
for (let seed = fromSeed; seed < fromSeed + scheduleCount && failed === null; seed += 1) {
  const outcome = await runSeed(seed);
  schedules += 1;
  steps += outcome.stepCount;
  events += outcome.events;
  for (const [name, count] of outcome.faults) faults.set(name, (faults.get(name) ?? 0) + count);
  if (outcome.halt !== null) halts.set(outcome.halt, (halts.get(outcome.halt) ?? 0) + 1);
  if (outcome.violation !== null) failed = { seed, outcome };
  // Lets the rest of Node have its turn, too: a rejection that nobody handles is reported only then.
  if (schedules % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  if (rejection !== null) {
    console.error(`seed ${seed}: a rejection that nobody handles: ${(rejection as Error).message}`);
    process.exitCode = 1;
    break;
  }
  if (isQuiet === 0) showProgress();
}
await tell();

function showProgress(): void {
  const nowMs = realPerformance.now();
  if (nowMs - shownAtMs < 1000 && schedules < scheduleCount) return;
  shownAtMs = nowMs;
  const seconds = (nowMs - startedAtMs) / 1000;
  const text = `${schedules} of ${scheduleCount} schedules, ${Math.round(schedules / seconds)} a second`;
  if (process.stderr.isTTY) process.stderr.write(`\r${text} `);
  else if (schedules % 5000 === 0) process.stderr.write(`${text}\n`);
}

async function tell(): Promise<void> {
  if (process.stderr.isTTY && isQuiet === 0) process.stderr.write('\n');
  const { user, system } = process.cpuUsage();
  const tally: Tally = {
    schedules,
    steps,
    events,
    seconds: (realPerformance.now() - startedAtMs) / 1000,
    cpuSeconds: (user + system) / 1e6,
    faults: sorted(faults),
    halts: sorted(halts),
    failure:
      failed === null
        ? null
        : {
            seed: failed.seed,
            rule: failed.outcome.violation?.rule ?? '',
            message: failed.outcome.violation?.message ?? '',
          },
  };
  if (failed !== null) {
    process.exitCode = 1;
    if (isQuiet === 0) await tellFailure(failed.seed, failed.outcome);
  }
  console.log(JSON.stringify(tally));
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function tellFailure(seed: number, outcome: Outcome): Promise<void> {
  const smallest = await shrink(outcome);
  Error.stackTraceLimit = 20;
  const { trace, violation, schedule } = await runSchedule(smallest.outcome.schedule, true);
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
  console.error(lines.join('\n'));
}
