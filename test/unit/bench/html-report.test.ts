import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { Script } from 'node:vm';
import { describe, expect, test } from 'vitest';
import type { BenchReport, LatencyReport, RunReport } from '../../../src/bench/bench-report.ts';
import { verdictOf } from '../../../src/bench/html/headline.ts';
import { scriptText, withoutModuleSyntax } from '../../../src/bench/html/page-assets.ts';
import { formatBytes, formatMs, formatRate } from '../../../src/bench/html/page/format-figure.js';
import { logLimits, logTicks } from '../../../src/bench/html/page/log-ticks.js';
import { percentilePosition, percentileTicks } from '../../../src/bench/html/page/percentile-axis.js';
import { renderHtmlReport } from '../../../src/bench/html-report.ts';
import { sampleBenchReport } from '../../support/sample-bench-report.ts';

const SAMPLE = sampleBenchReport();
const PAGE = renderHtmlReport(SAMPLE);
const PAGE_DIR = new URL('../../../src/bench/html/page/', import.meta.url);

describe('the headline', () => {
  test('says what was measured: its figures are the report’s', () => {
    const walrelay = latencyOf(SAMPLE, 'walrelay', 'steady-500');
    const polling = latencyOf(SAMPLE, 'poll-100', 'steady-500');
    const headline =
      `Walrelay: p50 ${formatMs(walrelay.p50Ms)}, p99 ${formatMs(walrelay.p99Ms)} at 500\u00a0events/s; ` +
      `polling every 100 ms: p50 ${formatMs(polling.p50Ms)}, p99 ${formatMs(polling.p99Ms)}`;
    expect(verdictOf(SAMPLE).headline).toBe(headline);
    expect(PAGE).toContain(`<h1>${headline}</h1>`);
  });

  test('names whoever was faster than Walrelay, before the usual rival', () => {
    const { headline } = verdictOf(
      mapRuns(SAMPLE, (run) => (run.contestant === 'notify' ? withP50(run, 0.01) : run)),
    );
    expect(headline).toMatch(/^Walrelay: p50 .+; LISTEN\/NOTIFY: p50 0\.010.ms/);
  });

  test('says with the figure that Walrelay lost events', () => {
    const verdict = verdictOf(
      mapRuns(SAMPLE, (run) =>
        run.contestant === 'walrelay' ? { ...run, check: { ...run.check, missing: 1234 } } : run,
      ),
    );
    expect(verdict.headline).toMatch(/^Walrelay: p50 .+ \(lost 1,234\) at 500.events\/s/);
    expect(verdict.details.join('\n')).toContain('Walrelay lost 1,234 in “500 events/s”.');
    expect(verdict.details.join('\n')).not.toContain('every event once');
  });

  test('takes another scenario when the usual one failed, and invents nothing when all did', () => {
    const withoutLatency = { ...SAMPLE, runs: SAMPLE.runs.filter(({ latency }) => latency === undefined) };
    expect(verdictOf(withoutLatency).headline).toMatch(/^Walrelay: 96,\d00\/s in “Backlog drain”; polling/);
    const failed = mapRuns(SAMPLE, (run) => ({ ...run, outcome: 'failed' }));
    expect(verdictOf(failed)).toEqual({ headline: 'Walrelay was not measured in this run.', details: [] });
  });

  test('is followed by every scenario in which Walrelay was behind', () => {
    const { details } = verdictOf(SAMPLE);
    expect(details[0]).toMatch(/^Walrelay had the lowest p50 in 7 of 8 scenarios, the lowest p99 in 7 of 8/);
    expect(details.filter((detail) => detail.includes('behind'))).toEqual([
      expect.stringMatching(/^Walrelay was behind in “Payloads of 256 KB”: p50 .+ \(the first loop\), p99 /),
    ]);
  });
});

describe('the page', () => {
  test('carries the report as it is', () => {
    const [, json] = /<script type="application\/json" id="report-data">(.*?)<\/script>/s.exec(PAGE)!;
    expect(JSON.parse(json!)).toEqual(SAMPLE);
  });

  test('has the figures of every scenario as markup, for readers without a script', () => {
    for (const { title } of SAMPLE.scenarios) expect(PAGE).toContain(`<h3>${title}</h3>`);
    expect(PAGE.match(/<table class="figures">/g)).toHaveLength(SAMPLE.scenarios.length);
    const { p999Ms } = latencyOf(SAMPLE, 'debezium-tuned', 'burst');
    expect(PAGE).toContain(`<td>${formatMs(p999Ms, 3)}</td>`);
  });

  test('says in words where a relay lost, doubled or misordered, and what could not run', () => {
    for (const mark of [
      '✗ lost 61,204',
      '✗ doubled 17',
      '✗ misordered 214',
      '✗ ran out of time',
      '✗ failed',
    ]) {
      expect(PAGE).toContain(mark);
    }
    expect(PAGE).toContain('<dd>Needs Java 17 or later; `java` was not found.');
    expect(PAGE).toContain('FATAL: JavaScript heap out of memory');
  });

  test('loads nothing, and forbids itself to', () => {
    const scripts = scriptsOf(PAGE);
    const markup = scripts.reduce((page, { text }) => page.replace(text, ''), PAGE);
    expect(markup).not.toMatch(/\bsrc=|@import|url\(|<link|<iframe|https?:/i);
    expect(markup.match(/href="[^"]*"/g)!.filter((href) => !href.startsWith('href="#'))).toEqual([]);
    expect(PAGE).not.toContain('sourceMappingURL');
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(PAGE)![1]!;
    expect(policy.replaceAll('&#39;', "'")).toMatch(/^default-src 'none';/);
    const code = scripts.filter(({ tag }) => !tag.includes('application/json'));
    expect(code).toHaveLength(3);
    for (const { text } of code) {
      expect(policy).toContain(`sha256-${createHash('sha256').update(text).digest('base64')}`);
    }
  });

  test('has scripts that parse, of all the files that were written for it', () => {
    const code = scriptsOf(PAGE).filter(({ tag }) => !tag.includes('application/json'));
    // In a strict block, as in a module, two functions of one name are an error.
    for (const { text } of code) expect(() => new Script(`'use strict'; {${text}\n}`)).not.toThrow();
    const files = readdirSync(PAGE_DIR).filter((file) => file.endsWith('.js'));
    expect(files.length).toBeGreaterThan(10);
    for (const file of files) {
      expect(PAGE).toContain(withoutModuleSyntax(readFileSync(new URL(file, PAGE_DIR), 'utf8')).trim());
    }
  });
});

describe('whatever the names and reasons hold', () => {
  const EVIL = `</script><img src=x onerror="alert('1')"><!--<script>&amp;`;
  const evil = renderHtmlReport(poisoned(SAMPLE, EVIL));

  test('nothing of them becomes markup', () => {
    expect(evil).not.toMatch(/<img/i);
    expect(evil.match(/<\/?script\b/gi)).toHaveLength(PAGE.match(/<\/?script\b/gi)!.length);
    expect(evil.match(/<!--/g)).toBeNull();
    expect(evil.match(/="[^"<>]*"[^<>]*onerror="/)).toBeNull();
  });

  test('they are read as they were written', () => {
    expect(evil).toContain('&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt;');
    const [, json] = /id="report-data">(.*?)<\/script>/s.exec(evil)!;
    expect((JSON.parse(json!) as BenchReport).contestants[0]!.name).toBe(`Walrelay${EVIL}`);
  });

  test('our own code is kept from ending its script element', () => {
    expect(scriptText('const a = "</script><!--";')).toBe(String.raw`const a = "\x3c/script>\x3c!--";`);
  });
});

describe('without some of its parts', () => {
  const none = { floor: { notes: [] }, writers: { payloadBytes: 0, costs: [], notes: [] }, remarks: [] };
  test.each<[string, BenchReport]>([
    [
      'the floor',
      { ...SAMPLE, ...none, contestants: SAMPLE.contestants.filter(({ kind }) => kind !== 'floor') },
    ],
    ['all contestants but one', only(SAMPLE, 'walrelay')],
    ['Walrelay', only(SAMPLE, 'poll-100')],
    ['a run that succeeded', mapRuns(SAMPLE, (run) => ({ ...run, outcome: 'failed' }))],
    ['figures over time', mapRuns(SAMPLE, withoutOverTime)],
    ['costs', mapRuns(SAMPLE, (run) => ({ ...run, processes: {}, database: {} }))],
    ['runs', { ...SAMPLE, runs: [] }],
    ['anything', { ...SAMPLE, ...none, runs: [], scenarios: [], contestants: [] }],
  ])('%s, the page says so and shows the rest', (_, report) => {
    const page = renderHtmlReport(report);
    expect(page.match(/>[^<]*(?:\bundefined\b|\bNaN\b|Infinity|\[object )[^<]*<\/(?!script)/g)).toBeNull();
    for (const { title } of report.scenarios) expect(page).toContain(`<h3>${title}</h3>`);
  });

  test('nothing is said of over time when nothing is known', () => {
    expect(renderHtmlReport(mapRuns(SAMPLE, withoutOverTime))).not.toMatch(/data-chart="(?:p50|p99|drain)/);
  });

  test('a run that is not complete says so', () => {
    expect(PAGE).not.toContain('Not complete.');
    expect(renderHtmlReport({ ...SAMPLE, isComplete: false })).toContain('Not complete.');
  });
});

describe('figures', () => {
  test('have as many digits as say something', () => {
    const spaced = (text: string) => text.replaceAll('\u00a0', ' ');
    expect(
      [0, 0.0831, 0.42, 1.93, 12.34, 843, 999.6, 1321, 81_000].map((ms) => spaced(formatMs(ms))),
    ).toEqual(['0 ms', '0.083 ms', '0.42 ms', '1.9 ms', '12 ms', '843 ms', '1.0 s', '1.3 s', '81 s']);
    expect(spaced(formatMs(12.34, 3))).toBe('12.3 ms');
    expect([0, 0.25, 50, 999, 81_234].map(formatRate)).toEqual([
      '0/s',
      '0.25/s',
      '50/s',
      '999/s',
      '81,200/s',
    ]);
    expect([0, 512, 118e6, 1.23e9, -2e6].map((bytes) => spaced(formatBytes(bytes)))).toEqual([
      '0 B',
      '512 B',
      '118 MB',
      '1.2 GB',
      '-2.0 MB',
    ]);
  });
});

describe('axes', () => {
  test('a log axis has round limits that hold every value, and ticks that fit', () => {
    expect(logLimits([0.034, 3, 1500])).toEqual({ min: 0.02, max: 2000 });
    expect(logLimits([5])).toEqual({ min: 5, max: 10 });
    expect(logLimits([])).toEqual({ min: 0.1, max: 10 });
    expect(logTicks(0.1, 10, 20)).toEqual([0.1, 0.2, 0.5, 1, 2, 5, 10]);
    expect(logTicks(0.1, 10, 5)).toEqual([0.1, 1, 10]);
  });

  test('the percentile axis gives each nine the same room, and the maximum its place', () => {
    expect([0, 90, 99, 99.9].map((p) => percentilePosition(p, 1e6))).toEqual([
      0,
      expect.closeTo(1),
      expect.closeTo(2),
      expect.closeTo(3),
    ]);
    expect(percentilePosition(100, 10_000)).toBe(4);
    expect(percentileTicks(4, 800)).toHaveLength(6);
    expect(percentileTicks(4, 240)).toHaveLength(5);
  });
});

test('a module that could not be inlined is refused', () => {
  expect(withoutModuleSyntax("import { a } from './a.js';\nexport const b = a;")).toBe('\nconst b = a;');
  expect(() => withoutModuleSyntax('export { b };')).toThrow('no such import or export');
  expect(() => withoutModuleSyntax("import fs from 'node:fs';")).toThrow('no such import or export');
});

function scriptsOf(page: string): readonly { readonly tag: string; readonly text: string }[] {
  return [...page.matchAll(/(<script[^>]*>)(.*?)<\/script>/gs)].map(([, tag, text]) => ({
    tag: tag!,
    text: text!,
  }));
}

function latencyOf(report: BenchReport, contestant: string, scenario: string): LatencyReport {
  return report.runs.find((run) => run.contestant === contestant && run.scenario === scenario)!.latency!;
}

function mapRuns(report: BenchReport, map: (run: RunReport) => RunReport): BenchReport {
  return { ...report, runs: report.runs.map(map) };
}

function withP50(run: RunReport, p50Ms: number): RunReport {
  return run.latency === undefined ? run : { ...run, latency: { ...run.latency, p50Ms } };
}

function withoutOverTime(run: RunReport): RunReport {
  return {
    ...run,
    ...(run.latency === undefined ? {} : { latency: { ...run.latency, overTime: [] } }),
    ...(run.throughput === undefined ? {} : { throughput: { ...run.throughput, overTime: [] } }),
  };
}

function only(report: BenchReport, id: string): BenchReport {
  return {
    ...report,
    contestants: report.contestants.filter((contestant) => contestant.id === id),
    runs: report.runs.filter(({ contestant }) => contestant === id),
  };
}

/** Every text of the report, ids included, with something behind it. */
function poisoned(report: BenchReport, evil: string): BenchReport {
  const keep = new Set(['kind', 'outcome', 'measures', 'startedAt', 'finishedAt']);
  return JSON.parse(
    JSON.stringify(report, (key, value: unknown) =>
      typeof value === 'string' && !keep.has(key) ? value + evil : value,
    ),
  ) as BenchReport;
}
