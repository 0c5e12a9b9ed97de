import Table from 'cli-table3';
import type { CampaignResult } from './campaign.ts';
import type { Row } from './row.ts';
import type { RunResult } from './run-row.ts';
import { sumTallies, type Tally } from './tally.ts';

export interface RowSummary {
  readonly row: Row;
  readonly runs: number;
  readonly failed: number;
  readonly tally: Tally;
  readonly verdict: 'passed' | 'failed' | 'not run';
  /** Why it did not run. */
  readonly reason?: string;
}

/** One line for each row, in the order in which they first ran. */
export function summarize({ results, notRun }: Pick<CampaignResult, 'results' | 'notRun'>): RowSummary[] {
  const finished = results.filter(({ outcome }) => outcome !== 'interrupted');
  const byRow = new Map<Row, RunResult[]>();
  for (const result of finished) byRow.set(result.row, [...(byRow.get(result.row) ?? []), result]);
  const ran = [...byRow].map(([row, own]): RowSummary => {
    const failed = own.filter(({ outcome }) => outcome === 'failed').length;
    const tally = sumTallies(own.map((result) => result.tally));
    return { row, runs: own.length, failed, tally, verdict: failed === 0 ? 'passed' : 'failed' };
  });
  const skipped = notRun.map(
    ({ row, reason }): RowSummary => ({
      row,
      runs: 0,
      failed: 0,
      tally: sumTallies([]),
      verdict: 'not run',
      reason,
    }),
  );
  return [...ran, ...skipped];
}

export const COLUMNS = [
  'row',
  'fault',
  'must',
  'runs',
  'faults',
  'events',
  'lost',
  'duplicated',
  'misordered',
  'recovery',
  'verdict',
] as const;

/** The cells of a row's line, in the order of COLUMNS. */
export function cellsOf({ row, runs, failed, tally, verdict, reason }: RowSummary): string[] {
  if (verdict === 'not run')
    return [row.id, row.fault, formatMust(row.must), '0', '', '', '', '', '', '', `not run: ${reason}`];
  return [
    row.id,
    row.fault,
    formatMust(row.must),
    String(runs),
    formatCount(tally.faults),
    formatCount(tally.events),
    formatCount(tally.lost),
    formatCount(tally.duplicated),
    formatCount(tally.misordered),
    formatRecovery(tally.recoveriesMs),
    verdict === 'failed' ? `FAILED ${failed} of ${runs}` : 'passed',
  ];
}

/** As wide as the terminal: the faults take what the figures leave. */
export function formatTable(summaries: readonly RowSummary[], columns = 160): string {
  const faultWidth = Math.min(60, Math.max(24, columns - 122));
  const right = 'right' as const;
  const left = 'left' as const;
  const table = new Table({
    head: [...COLUMNS],
    colAligns: [left, left, left, right, right, right, right, right, right, right, left],
    colWidths: [null, faultWidth, null, null, null, null, null, null, null, null, 24],
    wordWrap: true,
    style: { head: [], border: [], compact: true },
  });
  for (const summary of summaries) table.push(cellsOf(summary));
  return table.toString();
}

/** All figures in sum, a line each. */
export function formatSums({ results, notRun, elapsedMs, seed }: CampaignResult): string {
  const finished = results.filter(({ outcome }) => outcome !== 'interrupted');
  const sum = sumTallies(finished.map(({ tally }) => tally));
  const failed = finished.filter(({ outcome }) => outcome === 'failed').length;
  const rows = new Set(finished.map(({ row }) => row.id)).size;
  return [
    `rows ${rows}${notRun.length === 0 ? '' : ` (and ${notRun.length} that can't run here)`}, runs ${finished.length}, failed ${failed}, faults ${formatCount(sum.faults)}, of which kills ${formatCount(sum.kills)}`,
    `events ${formatCount(sum.events)}, lost ${sum.lost}, duplicated ${sum.duplicated}, misordered ${sum.misordered}, altered ${sum.altered}`,
    `recoveries ${sum.recoveriesMs.length}: median and longest ${formatRecovery(sum.recoveriesMs)}`,
    `${(elapsedMs / 60_000).toFixed(1)} minutes, seed ${seed}`,
  ].join('\n');
}

export function formatMust(must: Row['must']): string {
  return (typeof must === 'string' ? [must] : must).join(' or ');
}

/** Median and longest. */
export function formatRecovery(recoveriesMs: readonly number[]): string {
  if (recoveriesMs.length === 0) return '';
  const sorted = [...recoveriesMs].sort((a, b) => a - b);
  const median = sorted[Math.floor((sorted.length - 1) / 2)] as number;
  const longest = sorted.at(-1) as number;
  return sorted.length === 1 ? formatMs(longest) : `${formatMs(median)}, ${formatMs(longest)}`;
}

export function formatMs(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en');
}
