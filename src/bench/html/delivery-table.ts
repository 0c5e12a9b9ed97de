import type { BenchReport, ContestantFacts, RunReport } from '../bench-report.ts';
import { contestantMark } from './contestant-mark.ts';
import { type Html, html } from './html-template.ts';
import { formatCount } from './page/format-figure.js';
import { contestantsThatRan, faultsOf, runOf } from './run-lookup.ts';

/** Whether every committed event stood in its stream once and in order: a relay that is fast because it forgets has not won. */
export function deliveryTable(report: BenchReport): Html {
  const contestants = contestantsThatRan(report).filter(({ kind }) => kind !== 'floor');
  return html`<section aria-labelledby="delivery"><h2 id="delivery">Complete, once, in order</h2>
<p class="lead">After each run the streams were held against what had been committed. <b>Lost</b>: committed, but in no stream. <b>Doubled</b>: there more than once. <b>Misordered</b>: behind a later event of the same aggregate. <b>Ran out of time</b>: still delivering when its time was over.</p>
<div class="scroll" tabindex="0" role="region" aria-labelledby="delivery"><table class="delivery">
<thead><tr><th scope="col">Relay</th>${report.scenarios.map(({ title }) => html`<th scope="col">${title}</th>`)}</tr></thead>
<tbody>${contestants.map((contestant) => row(report, contestant))}</tbody>
</table></div></section>`;
}

function row(report: BenchReport, contestant: ContestantFacts): Html {
  return html`<tr><th scope="row">${contestantMark(report, contestant)} ${contestant.name}</th>${report.scenarios.map(
    (scenario) => html`<td>${deliveryOf(runOf(report, contestant, scenario))}</td>`,
  )}</tr>
`;
}

/** A word and a mark: colour alone would not reach everybody. */
export function deliveryOf(run: RunReport | undefined): Html {
  if (run === undefined) return html`<span class="none">not run</span>`;
  if (run.outcome === 'skipped') return html`<span class="none">skipped</span>`;
  if (run.outcome === 'failed') return html`<b class="fault">✗ failed</b>`;
  const faults = faultsOf(run.check);
  if (faults.length === 0) return html`<span class="sound">✓ all ${formatCount(run.committed)}</span>`;
  return html`${faults.map((fault) => html`<b class="fault">✗ ${fault}</b>`)}<span class="of">of ${formatCount(run.committed)}</span>`;
}
