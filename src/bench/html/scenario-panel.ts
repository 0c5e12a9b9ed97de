import type { BenchReport, RunReport, ScenarioFacts } from '../bench-report.ts';
import { type Bar, barFigure } from './bar-figure.ts';
import { contestantMark, lineMark } from './contestant-mark.ts';
import { bars, costFigures } from './cost-figures.ts';
import { figuresTable } from './figures-table.ts';
import { type Html, html } from './html-template.ts';
import { FLOOR_STYLE } from './page/contestant-style.js';
import { formatCount, formatRate } from './page/format-figure.js';
import { type Measured, measuredIn } from './run-lookup.ts';

/** Everything about one scenario. The page's script shows one panel at a time; without it they stand below one another. */
export function scenarioPanel(report: BenchReport, scenario: ScenarioFacts): Html {
  const measured = measuredIn(report, scenario);
  const { database, processes } = costFigures(report, scenario);
  return html`<article class="scenario" id="${panelId(report, scenario)}">
<h3>${scenario.title}</h3>
<p class="lead">${scenario.summary}</p>
<p class="lead">${load(scenario)}</p>
${measured.length === 0 ? html`<p>No relay has figures for this scenario.</p>` : legend(report, measured)}
${charts(report, scenario, measured)}
${database.length > 0 && html`<h4>Cost to the database</h4><p class="lead">The run’s figures less those of the same load without any relay.</p><div class="bar-grid">${database.map(barFigure)}</div>`}
${processes.length > 0 && html`<h4>CPU and memory</h4><div class="bar-grid">${processes.map(barFigure)}</div>`}
<h4>All figures</h4>
${figuresTable(report, scenario)}
</article>
`;
}

/** Not made of the scenario's name, which may hold anything. */
export function panelId(report: BenchReport, scenario: ScenarioFacts): string {
  return `scenario-${report.scenarios.indexOf(scenario) + 1}`;
}

function load({ events, payloadBytes, ratePerSecond }: ScenarioFacts): string {
  return [
    events === 1 ? '1 event' : `${formatCount(events)} events`,
    `${formatCount(payloadBytes)} bytes of payload each`,
    ...(ratePerSecond === undefined ? [] : [`${formatCount(ratePerSecond)} a second intended`]),
  ].join(' · ');
}

/** What also switches a relay off and on in all charts. */
function legend(report: BenchReport, measured: readonly Measured[]): Html {
  const entries = measured.map(({ contestant }) => ({
    id: contestant.id,
    mark: contestantMark(report, contestant),
    name: contestant.name,
  }));
  if (hasFloorReference(report, measured)) {
    entries.push({ id: 'floor-reference', mark: lineMark(FLOOR_STYLE), name: 'floor' });
  }
  return html`<div class="legend" role="group" aria-label="Relays shown in the charts">${entries.map(
    ({ id, mark, name }) =>
      html`<button type="button" data-contestant="${id}" aria-pressed="true">${mark} ${name}</button>`,
  )}</div>`;
}

/** The floor's own line, where it did not run as if it were a contestant. */
function hasFloorReference({ floor }: BenchReport, measured: readonly Measured[]): boolean {
  const withLatency = measured.filter(({ run }) => run.latency !== undefined);
  return (
    withLatency.length > 0 &&
    withLatency.every(({ contestant }) => contestant.kind !== 'floor') &&
    (floor.bareLoop ?? floor.copyData) !== undefined
  );
}

function charts(report: BenchReport, scenario: ScenarioFacts, measured: readonly Measured[]): Html {
  const has = (what: (run: RunReport) => boolean): boolean => measured.some(({ run }) => what(run));
  const canvas = (kind: string, title: string, note: string): Html =>
    html`<figure class="chart needs-script"><figcaption><b>${title}</b> <span>${note}</span></figcaption><div class="canvas ${kind}"><canvas data-chart="${kind}" data-scenario="${scenario.id}" role="img" aria-label="${title}: ${scenario.title}. The table “All figures” has the values."></canvas></div></figure>`;
  const throughput = throughputBars(report, scenario, measured);
  const drain = html`${throughput.length > 0 && barFigure({ title: 'Throughput', note: 'events per second', bars: throughput })}
${has((run) => (run.throughput?.overTime.length ?? 0) > 0) && canvas('drain', 'The backlog as it drains', 'entries in the streams; steeper is faster')}`;
  const latency = html`${has((run) => (run.latency?.distribution.length ?? 0) > 0) && canvas('distribution', 'Latency distribution', 'commit to visible in the stream; to the right ever rarer events, the last point is the slowest')}
${
  has((run) => (run.latency?.overTime.length ?? 0) > 1) &&
  html`<div class="pair">${canvas('p50-over-time', 'p50 over time', 'of each second')}${canvas('p99-over-time', 'p99 over time', 'of each second, same scale')}</div>`
}`;
  return scenario.measures === 'throughput' ? html`${drain}${latency}` : latency;
}

function throughputBars(
  report: BenchReport,
  scenario: ScenarioFacts,
  measured: readonly Measured[],
): readonly Bar[] {
  const own = bars(report, measured, ({ throughput }) => throughput?.eventsPerSecond, formatRate);
  // The floor was measured with the drain's backlog: it says nothing about other ones.
  return scenario.id === 'drain' && own.length > 0 ? [...own, ...references(report)] : own;
}

function references({ floor }: BenchReport): readonly Bar[] {
  const of = (name: string, value: number | undefined): readonly Bar[] =>
    value === undefined
      ? []
      : [{ name, color: FLOOR_STYLE.color, value, text: formatRate(value), isReference: true }];
  return [
    ...of('pg_recvlogical to /dev/null', floor.recvlogicalEventsPerSecond),
    ...of('decoding in the server', floor.serverDecodeEventsPerSecond),
  ];
}
