import type { BenchReport } from '../bench-report.ts';
import { contestantMark } from './contestant-mark.ts';
import { type Html, html } from './html-template.ts';

/** Who ran, and how the figures came about: enough to doubt them properly. */
export function methodSection(report: BenchReport): Html {
  return html`<section aria-labelledby="relays"><h2 id="relays">The relays</h2>
<dl class="relays">${report.contestants.map(
    (
      contestant,
    ) => html`<div><dt>${contestantMark(report, contestant)} ${contestant.name}${contestant.version !== undefined && html` <small>${contestant.version}</small>`}</dt><dd>${contestant.summary}</dd></div>
`,
  )}</dl></section>
<section aria-labelledby="method"><h2 id="method">How it was measured</h2>
<ul class="prose">
<li><b>Latency</b> runs from the moment an event was meant to be committed until an independent blocked reader had the entry, on one clock. A producer that falls behind makes the figure worse, not better: nothing is omitted because the system was busy.</li>
<li><b>The distribution</b> is drawn as an HDR plot: every step to the right is ten times rarer. Both the percentiles and the milliseconds are on log scales; bars start at zero.</li>
<li><b>Cost to the database</b> is what the statistics of Postgres counted during the run, less what the same load costs without any relay.</li>
<li><b>1 MB</b> is 1,000,000 bytes. A figure that could not be had is absent (–), never zero.</li>
<li>The relays ran one after the other on the same servers. One run is one sample: repeat it before you decide on a difference of a few percent.</li>
</ul></section>`;
}
