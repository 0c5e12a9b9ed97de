import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Html, html } from './html-template.ts';

/**
 * What the page carries inside itself: its style, its scripts and the chart library. The files lie in `page/`, beside
 * this one in the sources and in the build alike.
 */
export interface PageAssets {
  readonly style: Html;
  /** Runs in the head, before anything is painted. */
  readonly headScript: Html;
  /** The chart library and what draws with it. */
  readonly bodyScripts: Html;
  /** Forbids every request, and every script but the ones above. */
  readonly contentSecurityPolicy: string;
}

/** In the order in which they need one another: they become one script. */
const MODULES = [
  'format-figure.js',
  'contestant-style.js',
  'chart-library.js',
  'chart-theme.js',
  'log-ticks.js',
  'percentile-axis.js',
  'nearest-of-each.js',
  'end-labels.js',
  'line-chart.js',
  'scenario-charts.js',
  'main.js',
];

/** Later ones override: paper comes last. */
const STYLES = ['theme.css', 'page.css', 'tables.css', 'scenarios.css', 'print.css'];

export function readPageAssets(): PageAssets {
  const early = scriptText(withoutModuleSyntax(readPageFile('before-paint.js')));
  const library = scriptText(readChartLibrary());
  const page = scriptText(MODULES.map((file) => withoutModuleSyntax(readPageFile(file))).join('\n'));
  const hashes = [early, library, page].map((text) => `'${sha256(text)}'`);
  return {
    style: html`<style>${Html.trusted(STYLES.map(readPageFile).join('\n'))}</style>`,
    headScript: html`<script>${Html.trusted(early)}</script>`,
    bodyScripts: html`<script>${Html.trusted(library)}</script>
<script type="module">${Html.trusted(page)}</script>`,
    contentSecurityPolicy: `default-src 'none'; style-src 'unsafe-inline'; script-src ${hashes.join(' ')}; base-uri 'none'; form-action 'none'`,
  };
}

function readPageFile(file: string): string {
  return readFileSync(new URL(`page/${file}`, import.meta.url), 'utf8');
}

/** The build for script tags is not in the package's exports; it lies beside the one that is. */
function readChartLibrary(): string {
  const entry = createRequire(import.meta.url).resolve('chart.js');
  return readFileSync(join(dirname(entry), 'chart.umd.min.js'), 'utf8');
}

/** A page that is one file can't import: the modules are written one after the other, into one scope. */
export function withoutModuleSyntax(module: string): string {
  const script = module
    .replaceAll(/^import (?:[^;]*? from )?'\.\/[^']+';$/gm, '')
    .replaceAll(/^export (?=const |function |class )/gm, '');
  const left = /^(?:import|export)\b.*/m.exec(script);
  if (left !== null) throw new Error(`the page's scripts know no such import or export: ${left[0]}`);
  return script;
}

/**
 * As it may stand between script tags. `</script` and `<!--` occur in code only within strings, regular expressions
 * and comments, where `\x3c` means the same. Source maps would be looked for outside.
 */
export function scriptText(script: string): string {
  return script
    .replaceAll(/^\/\/# sourceMappingURL=.*$/gm, '')
    .replaceAll(/<(?=\/script|script|!--)/gi, String.raw`\x3c`)
    .trim();
}

function sha256(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}
