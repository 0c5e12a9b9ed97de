import type { BenchReport, LatencyReport } from '../bench-report.ts';
import { type Html, html } from './html-template.ts';
import { formatCount, formatMs, formatRate } from './page/format-figure.js';

/** What no relay on this machine can beat, in figures; absent when nothing of it could be measured. */
export function floorSection({ floor }: BenchReport): Html {
  const latencies = [
    { name: 'Commit until a bare client had the CopyData', latency: floor.copyData },
    { name: 'One XADD and its answer', latency: floor.redisRoundTrip },
    {
      name: 'Bare loop: CopyData straight into one XADD, until a blocked reader had it',
      latency: floor.bareLoop,
    },
  ].flatMap(({ name, latency }) => (latency === undefined ? [] : [{ name, latency }]));
  const rates = [
    {
      name: `pg_recvlogical${floor.recvlogicalVersion === undefined ? '' : ` ${floor.recvlogicalVersion}`} to /dev/null`,
      rate: floor.recvlogicalEventsPerSecond,
    },
    {
      name: 'Decoding in the server (pg_logical_slot_peek_binary_changes)',
      rate: floor.serverDecodeEventsPerSecond,
    },
  ].flatMap(({ name, rate }) => (rate === undefined ? [] : [{ name, rate }]));
  if (latencies.length + rates.length === 0) return html``;
  return html`<section aria-labelledby="floor"><h2 id="floor">The floor</h2>
<p class="lead">The bare operations that every relay has to wait for, measured in the same run. A relay that comes out faster appended in batches, or the machine was busy with something else just then.</p>
${
  latencies.length > 0 &&
  html`<div class="scroll" tabindex="0" role="region" aria-labelledby="floor"><table><thead><tr><th scope="col">Latency</th>${PICKS.map(([name]) => html`<th scope="col">${name}</th>`)}<th scope="col">events</th></tr></thead>
<tbody>${latencies.map(
    ({
      name,
      latency,
    }) => html`<tr><th scope="row">${name}</th>${PICKS.map(([, pick]) => html`<td>${formatMs(pick(latency), 3)}</td>`)}<td>${formatCount(latency.count)}</td></tr>
`,
  )}</tbody></table></div>`
}
${
  rates.length > 0 &&
  html`<div class="scroll" tabindex="0" role="region" aria-labelledby="floor"><table><thead><tr><th scope="col">Reading the drain’s backlog</th><th scope="col">events per second</th></tr></thead>
<tbody>${rates.map(
    ({ name, rate }) => html`<tr><th scope="row">${name}</th><td>${formatRate(rate)}</td></tr>
`,
  )}</tbody></table></div>`
}
</section>`;
}

const PICKS: readonly (readonly [name: string, pick: (latency: LatencyReport) => number])[] = [
  ['p50', ({ p50Ms }) => p50Ms],
  ['p90', ({ p90Ms }) => p90Ms],
  ['p99', ({ p99Ms }) => p99Ms],
  ['p99.9', ({ p999Ms }) => p999Ms],
  ['maximum', ({ maxMs }) => maxMs],
];
