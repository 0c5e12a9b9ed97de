import type { BenchReport } from './bench-report.ts';
import { deliveryTable } from './html/delivery-table.ts';
import { floorSection } from './html/floor-section.ts';
import { verdictOf } from './html/headline.ts';
import { Html, html } from './html/html-template.ts';
import { masthead } from './html/masthead.ts';
import { methodSection } from './html/method-section.ts';
import { notRunSection } from './html/not-run-section.ts';
import { overviewTable } from './html/overview-table.ts';
import { readPageAssets } from './html/page-assets.ts';
import { panelId, scenarioPanel } from './html/scenario-panel.ts';
import { writerSection } from './html/writer-section.ts';

/**
 * The report as one HTML file that loads nothing: style, scripts, chart library and data stand in it, and its content
 * security policy forbids the rest. Tables and bars are markup, so that it says everything without a script, too; the
 * script draws the lines (`html/page/main.js`).
 */
export function renderHtmlReport(report: BenchReport): string {
  const assets = readPageAssets();
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${assets.contentSecurityPolicy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="${verdictOf(report).headline}">
<title>walrelay bench, ${report.startedAt.slice(0, 10)}</title>
${assets.headScript}
${assets.style}
</head>
<body>
${masthead(report)}
<main>
${report.scenarios.length > 0 && html`${overviewTable(report)}${scenarios(report)}${deliveryTable(report)}`}
${notRunSection(report)}
${floorSection(report)}
${writerSection(report)}
${methodSection(report)}
</main>
<footer><button type="button" id="download" class="needs-script">Download the raw data (JSON)</button></footer>
<script type="application/json" id="report-data">${jsonText(report)}</script>
${assets.bodyScripts}
</body>
</html>
`;
  return page.source;
}

function scenarios(report: BenchReport): Html {
  return html`<section aria-labelledby="scenarios"><h2 id="scenarios">Scenario by scenario</h2>
<div class="explorer"><fieldset class="picker needs-script"><legend class="unseen">Scenario</legend>${report.scenarios.map(
    (scenario) =>
      html`<label><input type="radio" name="scenario" value="${panelId(report, scenario)}">${scenario.title}</label>`,
  )}</fieldset>
<div class="panels">${report.scenarios.map((scenario) => scenarioPanel(report, scenario))}</div></div></section>`;
}

/** A script element ends at the first `</script`, wherever it stands: no `<` of the data may be one. */
function jsonText(report: BenchReport): Html {
  return Html.trusted(JSON.stringify(report).replaceAll('<', String.raw`\u003c`));
}
