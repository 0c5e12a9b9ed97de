import type { BenchReport } from '../bench-report.ts';
import { writerFigures } from '../report-table.ts';
import { type Html, html } from './html-template.ts';
import { formatMs } from './page/format-figure.js';

/** What an event costs its writer and the database, by where it is written; absent when it was not measured. */
export function writerSection({ writers }: BenchReport): Html {
  if (writers === undefined || writers.costs.length + writers.notes.length === 0) return html``;
  const { costs, notes, payloadBytes } = writers;
  return html`<section aria-labelledby="writers"><h2 id="writers">What an event costs its writer</h2>
<p class="lead">The same small transaction, an UPDATE and an event with ${payloadBytes} bytes of payload, one after the other, in turns. WAL and storage are what comes on top of the UPDATE; One VACUUM at the end is in columns of its own.</p>
${
  costs.length > 0 &&
  html`<div class="scroll" tabindex="0" role="region" aria-labelledby="writers"><table><thead><tr><th scope="col">Outbox</th><th scope="col">transaction</th><th scope="col">× no event</th><th scope="col">WAL bytes/event</th><th scope="col">table and index bytes/event</th><th scope="col">dead rows/event</th><th scope="col">VACUUM’s WAL bytes/event</th><th scope="col">VACUUM µs/event</th></tr></thead>
<tbody>${costs.map(
    (cost) =>
      html`<tr><th scope="row">${cost.name}</th><td>${formatMs(cost.transactionMs, 3)}</td><td>${cost.timesNone.toFixed(2)}</td>${writerFigures(cost).map((value) => html`<td>${cost.id === 'none' ? '–' : value.toLocaleString('en')}</td>`)}</tr>
`,
  )}</tbody></table></div>`
}
${notes.map((note) => html`<p>${note}</p>`)}
</section>`;
}
