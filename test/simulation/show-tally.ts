import Table from 'cli-table3';
import type { Tally } from './tally.ts';

export function showTally(tally: Tally, seconds: number): void {
  const table = new Table({
    head: ['what happened', 'times'],
    colAligns: ['left', 'right'],
    style: { head: [], border: [] },
  });
  for (const [name, count] of Object.entries(tally.faults)) table.push([name, count]);
  for (const [code, count] of Object.entries(tally.halts))
    table.push([`ended, as it must, with ${code}`, count]);
  console.log(table.toString());
  const { schedules, steps, events, cpuSeconds, failure } = tally;
  const faults = Object.values(tally.faults).reduce((sum, count) => sum + count, 0);
  console.log(
    `${schedules} schedules, ${steps} steps, ${faults} faults, ${events} events appended in ${seconds.toFixed(1)} s ` +
      `(${cpuSeconds.toFixed(1)} s of CPU): ${failure === null ? 'every promise kept' : `broken by seed ${failure.seed}: ${failure.message}`}`,
  );
}
