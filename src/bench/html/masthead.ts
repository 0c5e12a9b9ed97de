import type { BenchReport } from '../bench-report.ts';
import { verdictOf } from './headline.ts';
import { type Html, html } from './html-template.ts';
import { formatBytes, formatCount } from './page/format-figure.js';

/** The result in a sentence, what it was measured on, and what to know before believing it. */
export function masthead(report: BenchReport): Html {
  const { headline, details } = verdictOf(report);
  return html`<header class="masthead">
<div class="top">
<p class="eyebrow">walrelay bench <span>${report.walrelayVersion}</span></p>
<fieldset class="theme needs-script"><legend class="unseen">Theme</legend>${[
    ['auto', 'Auto'],
    ['light', 'Light'],
    ['dark', 'Dark'],
  ].map(
    ([value, name]) => html`<label><input type="radio" name="theme" value="${value}">${name}</label>`,
  )}</fieldset>
</div>
<h1>${headline}</h1>
${details.length > 0 && html`<ul class="verdict">${details.map((detail) => html`<li>${detail}</li>`)}</ul>`}
${!report.isComplete && html`<p class="warning"><strong>Not complete.</strong> The bench was interrupted or a run failed; the figures that are here still hold.</p>`}
${report.remarks.length > 0 && html`<aside class="remarks"><h2>Before you believe a figure</h2><ul>${report.remarks.map((remark) => html`<li>${remark}</li>`)}</ul></aside>`}
${facts(report)}
</header>`;
}

function facts(report: BenchReport): Html {
  const { machine, postgres, redis } = report;
  return html`<dl class="facts">
<div><dt>Run</dt><dd>${utc(report.startedAt)}, ${duration(report)}</dd><dd>${formatCount(report.runs.length)} runs, one after the other</dd><dd><code>${report.command}</code></dd></div>
<div><dt>Machine</dt><dd>${machine.cores === 1 ? '1 core' : `${formatCount(machine.cores)} cores`}, ${machine.cpu}</dd><dd>${formatBytes(machine.memoryBytes)} of memory</dd><dd>${machine.system}, Node ${machine.node}</dd></div>
<div><dt>Postgres</dt><dd>${postgres.version}, ${place(postgres.isLocal)}</dd>${settings(postgres.settings)}</div>
<div><dt>Redis</dt><dd>${redis.version}, ${place(redis.isLocal)}</dd>${settings(redis.settings)}</div>
</dl>`;
}

function settings(of: Readonly<Record<string, string>>): Html {
  const entries = Object.entries(of);
  return html`${entries.length > 0 && html`<dd class="settings">${entries.map(([name, value]) => html`<span><code>${name}</code> <b>${value === '' ? '(empty)' : value}</b></span> `)}</dd>`}`;
}

function place(isLocal: boolean): string {
  return isLocal ? 'on this machine' : 'on another machine';
}

function utc(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 16)} UTC`;
}

function duration({ startedAt, finishedAt }: BenchReport): string {
  const seconds = Math.round((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000);
  return seconds < 120 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}
