import { cellsOf, COLUMNS, formatCount, formatSums, type RowSummary, summarize } from './report-table.ts';
import type { CampaignResult } from './campaign.ts';
import { compareRows, type Row } from './row.ts';
import { faultCounts, recoveryCells } from './soak/format-soak.ts';
import type { SoakReport } from './soak/soak.ts';

/**
 * The generated parts of docs/reliability.md, between markers. A campaign of a few rows replaces the lines of those
 * rows and leaves the others as they are.
 */
export function replaceCampaign(
  page: string,
  options: { readonly rows: readonly Row[]; readonly result: CampaignResult; readonly servers: string },
): string {
  const { rows, result, servers } = options;
  const known = new Map(
    [...sectionOf(page, 'campaign').matchAll(/^\| ([A-Z]\d+) \|.*$/gm)].map(([line, id]) => [id, line]),
  );
  const fresh = new Map(summarize(result).map((summary): [string, RowSummary] => [summary.row.id, summary]));
  const lines = [...rows].sort(compareRows).map((row) => {
    const summary = fresh.get(row.id);
    if (summary !== undefined) return markdownRow(cellsOf(summary));
    return (
      known.get(row.id) ??
      markdownRow([row.id, row.fault, ...Array<string>(COLUMNS.length - 3).fill(''), 'not run yet'])
    );
  });
  const text = [
    markdownRow(COLUMNS),
    markdownRow(COLUMNS.map((column) => (RIGHT.has(column) ? '---:' : '---'))),
    ...lines,
    '',
    `The newest campaign, of ${fresh.size} of the ${rows.length} rows, on ${servers}:`,
    '',
    '```',
    formatSums(result),
    '```',
  ].join('\n');
  return replaceSection(page, 'campaign', text);
}

export function replaceSoak(
  page: string,
  options: { readonly report: SoakReport; readonly result: CampaignResult; readonly servers: string },
): string {
  const { report, result, servers } = options;
  const text = [
    `On ${servers}, ${report.checks} checks of everything since the one before:`,
    '',
    '```',
    formatSums(result),
    '```',
    '',
    '| fault | times |',
    '| --- | ---: |',
    ...faultCounts(report).map(([name, count]) => markdownRow([name, formatCount(count)])),
    '',
    '| faults of | recoveries | median | longest |',
    '| --- | ---: | ---: | ---: |',
    ...recoveryCells(report).map(markdownRow),
  ].join('\n');
  return replaceSection(page, 'soak', text);
}

const RIGHT: ReadonlySet<string> = new Set([
  'runs',
  'faults',
  'events',
  'lost',
  'duplicated',
  'misordered',
  'recovery',
]);

function markdownRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

function sectionOf(page: string, name: string): string {
  const [begin, end] = [`<!-- ${name}:begin -->`, `<!-- ${name}:end -->`];
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from === -1 || to < from) throw new Error(`docs/reliability.md needs ${begin} and, after it, ${end}`);
  return page.slice(from + begin.length, to);
}

function replaceSection(page: string, name: string, text: string): string {
  return page.replace(
    `<!-- ${name}:begin -->${sectionOf(page, name)}<!-- ${name}:end -->`,
    () => `<!-- ${name}:begin -->\n\n${text}\n\n<!-- ${name}:end -->`,
  );
}
