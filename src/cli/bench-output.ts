import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { BenchReport } from '../bench/bench-report.ts';
import type { Contestant } from '../bench/contestant.ts';
import { renderHtmlReport } from '../bench/html-report.ts';
import { isExact, renderTables } from '../bench/report-table.ts';
import type { Scenario } from '../bench/scenario.ts';

export const HTML_FILE = 'walrelay-bench.html';

export interface OutputWishes {
  /** True: to standard output, instead of the tables. */
  readonly json?: string | true;
  /** False: no page. */
  readonly html?: string | boolean;
}

/** Results go to standard output and into files; where files went is said on the other one. */
export function publishReport(report: BenchReport, { json, html }: OutputWishes): void {
  // Interrupted before anything was known.
  if (report.runs.length === 0 && !report.isComplete) return;
  if (json === true) process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  else process.stdout.write(renderTables(report));
  if (typeof json === 'string') {
    writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
    process.stderr.write(`report: ${resolve(json)}\n`);
  }
  if (html === false) return;
  const file = typeof html === 'string' ? html : HTML_FILE;
  writeFileSync(file, renderHtmlReport(report));
  process.stderr.write(`page:   ${resolve(file)}\n`);
}

/** Something was measured, everybody ran, and Walrelay kept what it promises. */
export function isClean(report: BenchReport): boolean {
  const walrelay = report.contestants.find(({ kind }) => kind === 'walrelay')?.id;
  return (
    report.runs.some(({ outcome }) => outcome === 'measured') &&
    report.runs.every(
      ({ outcome, contestant, check }) => outcome !== 'failed' && (contestant !== walrelay || isExact(check)),
    )
  );
}

/** As it was typed, without what may hold a password. */
export function commandLine(): string {
  const args = process.argv.slice(2);
  const shown = args.filter(
    (arg, index) =>
      !/^--(?:database|redis)-url/.test(arg) && !/^--(?:database|redis)-url$/.test(args[index - 1] ?? ''),
  );
  return `walrelay ${shown.join(' ')}`;
}

export function listText(scenarios: readonly Scenario[], contestants: readonly Contestant[]): string {
  const rows = (items: readonly { readonly id: string; readonly summary: string }[]) =>
    items.map(({ id, summary }) => `  ${id.padEnd(18)} ${summary}\n`).join('');
  return `Scenarios:\n${rows(scenarios)}\nRelays:\n${rows(contestants)}`;
}
