import type { BenchReport, ContestantFacts, ScenarioFacts } from '../bench-report.ts';
import { contestantMark } from './contestant-mark.ts';
import { bestOf, contestFigures } from './contest-figures.ts';
import { type Html, html } from './html-template.ts';
import { contestantsThatRan, faultsOf, measuredIn, runOf } from './run-lookup.ts';
import { panelId } from './scenario-panel.ts';

/** Every scenario and every relay on one sheet: the figure that the scenario is about, and whether the delivery was right. */
export function overviewTable(report: BenchReport): Html {
  const contestants = contestantsThatRan(report);
  return html`<section aria-labelledby="overview"><h2 id="overview">All scenarios at a glance</h2>
<p class="lead">Latency scenarios: p50, and below it p99, from commit to visible in the stream. Throughput scenarios: events per second. <b class="best">best</b> marks the best of those that delivered every event once and in order; <b class="fault">lost</b>, <b class="fault">doubled</b> and <b class="fault">misordered</b> say what a relay did wrong.</p>
<div class="scroll" tabindex="0" role="region" aria-labelledby="overview"><table class="overview">
<thead><tr><th scope="col">Scenario</th>${contestants.map((contestant) => html`<th scope="col">${contestantMark(report, contestant)}<br>${contestant.name}</th>`)}</tr></thead>
<tbody>${report.scenarios.map((scenario) => row(report, scenario, contestants))}</tbody>
</table></div></section>`;
}

function row(report: BenchReport, scenario: ScenarioFacts, contestants: readonly ContestantFacts[]): Html {
  return html`<tr><th scope="row"><a href="#${panelId(report, scenario)}">${scenario.title}</a> <small>${scenario.measures === 'latency' ? 'p50, p99' : 'events/s'}</small></th>${contestants.map(
    (contestant) => html`<td>${cell(report, scenario, contestant)}</td>`,
  )}</tr>
`;
}

function cell(report: BenchReport, scenario: ScenarioFacts, contestant: ContestantFacts): Html {
  const run = runOf(report, contestant, scenario);
  if (run === undefined) return html`<span class="none">not run</span>`;
  if (run.outcome !== 'measured')
    return html`<b class="${run.outcome === 'failed' ? 'fault' : 'none'}">${run.outcome}</b>`;
  const candidates = measuredIn(report, scenario);
  const figures = contestFigures(scenario).map((figure) => {
    const isBest = candidates.length > 1 && bestOf(figure, candidates)?.contestant === contestant;
    return html`<span class="figure">${isBest && html`<b class="best">best</b> `}${figure.text(run) ?? '–'}</span>`;
  });
  return html`${figures}${faultsOf(run.check).map((fault) => html`<b class="fault">${fault}</b>`)}`;
}
