import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { bundleSimulation } from './bundle.ts';
import { simulateSeeds } from './crew.ts';
import { tryMutants } from './mutants.ts';
import { showTally } from './show-tally.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    schedules: { type: 'string', default: '100000' },
    mutants: { type: 'boolean', default: false },
    only: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log(`npm run simulate -- [--seed N] [--schedules 100000]
  Runs the relay, whole, against simulated servers, links and clocks, on all cores. Every schedule is a function of its seed.
  --seed N        the first seed; else one that is made up, and printed
  --schedules N   how many seeds, one after the other
  --mutants       puts known bugs back, one at a time, and counts the schedules until each is found
  --only TEXT     of those, the ones with TEXT in their name

npm run simulate -- --seed 7 --schedules 1 repeats one schedule. docs/simulation.md says what is simulated.`);
} else {
  const seed = Number(values.seed ?? (values.mutants ? 1 : randomInt(1, 1_000_000_000)));
  const schedules = Number(values.schedules);
  if (!Number.isInteger(seed) || !Number.isInteger(schedules) || schedules < 1)
    throw new Error('--seed and --schedules are whole numbers');
  const isKept = values.mutants
    ? await tryMutants({ seed, schedules, only: values.only ?? '' })
    : await simulate(seed, schedules);
  process.exitCode = isKept ? 0 : 1;
}

async function simulate(seed: number, schedules: number): Promise<boolean> {
  console.log(`seeds ${seed} to ${seed + schedules - 1}`);
  const bundle = await bundleSimulation();
  const startedAtMs = performance.now();
  const seconds = () => (performance.now() - startedAtMs) / 1000;
  const tally = await simulateSeeds({
    bundle,
    fromSeed: seed,
    schedules,
    isTold: true,
    progressed: progressLine(schedules, seconds),
  });
  if (process.stderr.isTTY) process.stderr.write('\n');
  showTally(tally, seconds());
  return tally.failure === null;
}

/** Once a second on a terminal, at every tenth of the whole elsewhere. */
function progressLine(schedules: number, seconds: () => number): (done: number) => void {
  const isTerminal = process.stderr.isTTY;
  let shown = 0;
  return (done) => {
    const reached = isTerminal ? seconds() : Math.floor((done * 10) / schedules);
    if (reached < shown + 1 && (!isTerminal || done < schedules)) return;
    shown = reached;
    const text = `${done} of ${schedules} schedules, ${Math.round(done / seconds())} a second`;
    if (isTerminal) process.stderr.write(`\r${text} `);
    else if (schedules > 1) process.stderr.write(`${text}\n`);
  };
}
