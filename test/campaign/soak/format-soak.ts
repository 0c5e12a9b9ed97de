import Table from 'cli-table3';
import { formatCount, formatMs } from '../report-table.ts';
import { SOAK_FAULTS } from './soak-faults.ts';
import type { SoakReport } from './soak.ts';

export function formatSoak(report: SoakReport): string {
  const faults = new Table({ head: ['fault', 'times'], colAligns: ['left', 'right'], style: STYLE });
  for (const [name, count] of faultCounts(report)) faults.push([name, formatCount(count)]);
  const recoveries = new Table({
    head: ['faults of', 'recoveries', 'median', 'longest'],
    colAligns: ['left', 'right', 'right', 'right'],
    style: STYLE,
  });
  for (const cells of recoveryCells(report)) recoveries.push(cells);
  return `${faults.toString()}\n${recoveries.toString()}\nchecks of everything since the one before: ${report.checks}`;
}

/** In the order of the list, which is that of the classes. */
export function faultCounts({ counts }: SoakReport): [string, number][] {
  return SOAK_FAULTS.map(({ name }) => [name, counts.get(name) ?? 0]);
}

export function recoveryCells({ recoveriesMs }: SoakReport): string[][] {
  return [...recoveriesMs]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([klass, values]) => {
      const sorted = [...values].sort((a, b) => a - b);
      const median = sorted[Math.floor((sorted.length - 1) / 2)] as number;
      return [klass, formatCount(sorted.length), formatMs(median), formatMs(sorted.at(-1) as number)];
    });
}

const STYLE = { head: [], border: [], compact: true };
