import type { Check } from './check.ts';
import { formatSum, matrixRows, missingReasons } from './matrix-table.ts';
import type { CellResult } from './run-cell.ts';

const BEGIN = '<!-- matrix:begin -->';
const END = '<!-- matrix:end -->';

/** Replaces the generated part of docs/versions.md by these results, whole: half a matrix would claim the other half. */
export function replaceMatrix(
  page: string,
  options: { readonly results: readonly CellResult[]; readonly checks: readonly Check[] },
): string {
  const from = page.indexOf(BEGIN);
  const to = page.indexOf(END);
  if (from === -1 || to < from) throw new Error(`docs/versions.md needs ${BEGIN} and, after it, ${END}`);
  const { results, checks } = options;
  const { head, lines } = matrixRows(results);
  const reasons = missingReasons(results).map((reason) => `- ${reason}`);
  const text = [
    markdownRow(head),
    markdownRow(head.map(() => '---')),
    ...lines.map(markdownRow),
    '',
    `${formatSum(results)}.`,
    ...(reasons.length === 0 ? [] : ['', 'Not offered:', '', ...reasons]),
    '',
    '| check | what must hold | passed on |',
    '| --- | --- | ---: |',
    ...checks.map((check) => markdownRow([check.id, check.what, passedOn(results, check)])),
  ].join('\n');
  return `${page.slice(0, from + BEGIN.length)}\n\n${text}\n\n${page.slice(to)}`;
}

function passedOn(results: readonly CellResult[], check: Check): string {
  const own = results
    .flatMap((cell) => cell.checks)
    .filter((result) => result.check.id === check.id && result.outcome !== 'not offered');
  const passed = own.filter(({ outcome }) => outcome === 'passed').length;
  return `${passed} of ${own.length}`;
}

function markdownRow(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}
