import type { BenchReport } from '../bench-report.ts';
import { type Html, html } from './html-template.ts';

/** What has no figures, and why: an empty place in a table explains nothing. */
export function notRunSection(report: BenchReport): Html {
  const byReason = reasons(report);
  if (byReason.size === 0) return html``;
  const entries = [...byReason].map(
    ([why, whats]) => html`<div><dt>${whats.map((what) => html`<p>${what}</p>`)}</dt><dd>${why}</dd></div>
`,
  );
  return html`<section aria-labelledby="not-run"><h2 id="not-run">What could not be measured, and why</h2>
<dl class="reasons">${entries}</dl></section>`;
}

/** One cause often stops many runs: it is told once, with all that it stopped. */
function reasons(report: BenchReport): ReadonlyMap<string, readonly string[]> {
  const nameOf = (id: string): string => report.contestants.find((each) => each.id === id)?.name ?? id;
  const titleOf = (id: string): string => report.scenarios.find((each) => each.id === id)?.title ?? id;
  const byReason = new Map<string, string[]>();
  const note = (what: string, why: string): void => {
    byReason.set(why, [...(byReason.get(why) ?? []), what]);
  };
  for (const { name, unavailable } of report.contestants) {
    if (unavailable !== undefined) note(name, unavailable);
  }
  for (const { contestant, scenario, outcome, reason } of report.runs) {
    if (outcome === 'measured') continue;
    note(`${nameOf(contestant)} in “${titleOf(scenario)}” (${outcome})`, reason ?? 'No reason was recorded.');
  }
  for (const why of report.floor.notes) note('Floor', why);
  return byReason;
}
