import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { bundleSimulation } from './bundle.ts';
import { tryMutants } from './mutants.ts';
import { showTally } from './show-tally.ts';
import type { Tally } from './simulate.ts';

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
  Runs the relay, whole, against simulated servers, links and clocks. Every schedule is a function of its seed.
  --seed N        the first seed; else one that is made up, and printed
  --schedules N   how many seeds, one after the other
  --mutants       puts known bugs back, one at a time, and counts the schedules until each is found
  --only TEXT     of those, the ones with TEXT in their name

npm run simulate -- --seed 7 --schedules 1 repeats one schedule. docs/simulation.md says what is simulated.`);
} else {
  const seed = Number(values.seed ?? randomInt(1, 1_000_000_000));
  const schedules = Number(values.schedules);
  if (!Number.isInteger(seed) || !Number.isInteger(schedules) || schedules < 1)
    throw new Error('--seed and --schedules are whole numbers');
  if (values.mutants) {
    process.exitCode = (await tryMutants({
      seed: Number(values.seed ?? 1),
      schedules,
      only: values.only ?? '',
    }))
      ? 0
      : 1;
  } else {
    console.log(`seeds ${seed} to ${seed + schedules - 1}`);
    const bundle = await bundleSimulation();
    const { tally, exitCode } = await run(bundle, seed, schedules);
    if (tally !== null) showTally(tally);
    process.exitCode = exitCode;
  }
}

async function run(
  bundle: string,
  seed: number,
  schedules: number,
): Promise<{ tally: Tally | null; exitCode: number }> {
  const child = spawn(process.execPath, [bundle, String(seed), String(schedules)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const exitCode = await new Promise<number>((resolve) => child.once('close', (code) => resolve(code ?? 1)));
  const line = text.trim().split('\n').at(-1) ?? '';
  return { tally: line.startsWith('{') ? (JSON.parse(line) as Tally) : null, exitCode };
}
