import type { BenchReport, LatencyReport, ProcessCost, RunReport, ScenarioFacts } from '../bench-report.ts';
import { contestantMark } from './contestant-mark.ts';
import { percentOfCore } from './cost-figures.ts';
import { deliveryOf } from './delivery-table.ts';
import { type Html, html } from './html-template.ts';
import {
  formatBytes,
  formatCount,
  formatMs,
  formatRate,
  formatSeconds,
  formatMicroseconds,
  formatPercent,
} from './page/format-figure.js';
import { contestantsThatRan, runOf } from './run-lookup.ts';

/** All figures of one scenario: what the charts show, for those who read tables or hear them. */
export function figuresTable(report: BenchReport, scenario: ScenarioFacts): Html {
  const columns = contestantsThatRan(report).flatMap((contestant) => {
    const run = runOf(report, contestant, scenario);
    return run === undefined ? [] : [{ contestant, run }];
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="All figures of “${scenario.title}”"><table class="figures">
<thead><tr><th scope="col">Figure</th>${columns.map(({ contestant }) => html`<th scope="col">${contestantMark(report, contestant)}<br>${contestant.name}</th>`)}</tr></thead>
${GROUPS.map(({ title, rows }) => {
  const present = rows.filter(({ text }) => columns.some(({ run }) => text(run) !== undefined));
  return (
    present.length > 0 &&
    html`<tbody><tr class="group"><th scope="rowgroup" colspan="${columns.length + 1}"><span>${title}</span></th></tr>
${present.map(
  ({
    name,
    text,
  }) => html`<tr><th scope="row">${name}</th>${columns.map(({ run }) => html`<td>${text(run) ?? html`<span class="none">–</span>`}</td>`)}</tr>
`,
)}</tbody>`
  );
})}</table></div>`;
}

interface Row {
  readonly name: string;
  readonly text: (run: RunReport) => string | Html | undefined;
}

const GROUPS: readonly { readonly title: string; readonly rows: readonly Row[] }[] = [
  {
    title: 'Delivery',
    rows: [
      { name: 'once and in order', text: (run) => deliveryOf(run) },
      {
        name: 'took',
        text: ({ outcome, seconds }) => (outcome === 'skipped' ? undefined : formatSeconds(seconds)),
      },
    ],
  },
  { title: 'Latency, from the intended send', rows: latencyRows(({ latency }) => latency) },
  { title: 'Latency, from the actual send', rows: latencyRows(({ serviceLatency }) => serviceLatency) },
  {
    title: 'Throughput',
    rows: [
      row('events per second', ({ throughput }) => throughput?.eventsPerSecond, formatRate),
      row('first to last entry', ({ throughput }) => throughput?.seconds, formatSeconds),
    ],
  },
  {
    title: 'Cost to the database',
    rows: [
      row('queries', ({ database }) => database.queriesPerSecond, formatRate),
      row('transactions', ({ database }) => database.transactions, formatCount),
      row('transactions per second', ({ database }) => database.transactionsPerSecond, formatRate),
      row('buffers hit', ({ database }) => database.buffersHit, formatCount),
      row('buffers read', ({ database }) => database.buffersRead, formatCount),
      row('WAL written', ({ database }) => database.walBytes, formatBytes),
      row('dead rows', ({ database }) => database.deadTuples, formatCount),
    ],
  },
  { title: 'Relay process', rows: processRows(({ processes }) => processes.relay) },
  { title: 'Postgres backends of the relay', rows: processRows(({ processes }) => processes.postgres) },
  { title: 'Redis process', rows: processRows(({ processes }) => processes.redis) },
];

function row(
  name: string,
  value: (run: RunReport) => number | undefined,
  format: (value: number) => string,
): Row {
  return {
    name,
    text: (run) => {
      const own = value(run);
      return own === undefined || run.outcome !== 'measured' ? undefined : format(own);
    },
  };
}

function latencyRows(latencyOf: (run: RunReport) => LatencyReport | undefined): readonly Row[] {
  const ms = (name: string, pick: (latency: LatencyReport) => number): Row =>
    row(
      name,
      (run) => {
        const latency = latencyOf(run);
        return latency === undefined ? undefined : pick(latency);
      },
      (value) => formatMs(value, 3),
    );
  return [
    ms('p50', ({ p50Ms }) => p50Ms),
    ms('p90', ({ p90Ms }) => p90Ms),
    ms('p99', ({ p99Ms }) => p99Ms),
    ms('p99.9', ({ p999Ms }) => p999Ms),
    ms('maximum', ({ maxMs }) => maxMs),
    ms('minimum', ({ minMs }) => minMs),
    ms('mean', ({ meanMs }) => meanMs),
    row('events measured', (run) => latencyOf(run)?.count, formatCount),
  ];
}

function processRows(costOf: (run: RunReport) => ProcessCost | undefined): readonly Row[] {
  return [
    row('CPU time', (run) => costOf(run)?.cpuSeconds, formatSeconds),
    row('CPU, of one core', (run) => percentOfCore(costOf(run)?.cpuSeconds, run.seconds), formatPercent),
    row('CPU for each event', (run) => costOf(run)?.cpuUsPerEvent, formatMicroseconds),
    row('peak RSS', (run) => costOf(run)?.peakRssBytes, formatBytes),
  ];
}
