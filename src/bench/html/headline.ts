import type { BenchReport, ScenarioFacts } from '../bench-report.ts';
import { type ContestFigure, contestFigures, type Standing } from './contest-figures.ts';
import { formatCount, formatMs } from './page/format-figure.js';
import { faultsOf, type Measured, measuredIn } from './run-lookup.ts';

/** The result in words. Only what was measured, and a defeat as plainly as a victory. */
export interface Verdict {
  /** One sentence: Walrelay against one other relay in one scenario. */
  readonly headline: string;
  /** How often it came first, where it did not, and whether everything arrived. */
  readonly details: readonly string[];
}

/** The rate and the relay that most people have. */
const PREFERRED_SCENARIO = 'steady-500';
const PREFERRED_RIVAL = 'poll-100';

export function verdictOf(report: BenchReport): Verdict {
  return {
    headline: headline(report),
    details: [...standings(report), ...defeats(report), ...deliveries(report), ...floor(report)],
  };
}

function headline(report: BenchReport): string {
  const scenario = headlineScenario(report);
  if (scenario === undefined) return 'Walrelay was not measured in this run.';
  const [figure] = contestFigures(scenario);
  const standing = figure === undefined ? undefined : figure.standing(report, scenario);
  if (standing === undefined) return 'Walrelay was not measured in this run.';
  const rival = headlineRival(standing);
  const sentences = [`${figuresInWords(standing.walrelay, scenario)} ${circumstances(scenario)}`];
  if (rival !== undefined) sentences.push(figuresInWords(rival, scenario));
  return sentences.join('; ');
}

function headlineScenario(report: BenchReport): ScenarioFacts | undefined {
  const measured = report.scenarios.filter(
    (scenario) => contestFigures(scenario)[0]?.standing(report, scenario) !== undefined,
  );
  return (
    measured.find(({ id }) => id === PREFERRED_SCENARIO) ??
    measured.find(({ measures, ratePerSecond }) => measures === 'latency' && ratePerSecond !== undefined) ??
    measured.find(({ measures }) => measures === 'latency') ??
    measured[0]
  );
}

/** Whoever beat Walrelay has to be named first; else the common choice. */
function headlineRival({ ahead, others }: Standing): Measured | undefined {
  return ahead[0] ?? others.find(({ contestant }) => contestant.id === PREFERRED_RIVAL) ?? others[0];
}

function figuresInWords(measured: Measured, scenario: ScenarioFacts): string {
  const figures = contestFigures(scenario).flatMap(({ name, text }) => {
    const value = text(measured.run);
    return value === undefined ? [] : [name === 'throughput' ? value : `${name} ${value}`];
  });
  return `${measured.contestant.name}: ${figures.join(', ')}${inBrackets(measured)}`;
}

function circumstances({ measures, ratePerSecond, title }: ScenarioFacts): string {
  return measures === 'latency' && ratePerSecond !== undefined
    ? `at ${formatCount(ratePerSecond)}\u00a0events/s`
    : `in “${title}”`;
}

function standings(report: BenchReport): readonly string[] {
  const counts = new Map<string, { readonly figure: ContestFigure; first: number; of: number }>();
  for (const { figure, standing } of everyStanding(report)) {
    if (standing.others.length === 0) continue;
    const count = counts.get(figure.name) ?? { figure, first: 0, of: 0 };
    count.of += 1;
    if (standing.ahead.length === 0) count.first += 1;
    counts.set(figure.name, count);
  }
  const parts = [...counts.values()].map(
    ({ figure, first, of }) =>
      `the ${figure.superlative} in ${first} of ${of} ${of === 1 ? 'scenario' : 'scenarios'}`,
  );
  return parts.length === 0 ? [] : [`Walrelay had ${parts.join(', ')}.`];
}

function defeats(report: BenchReport): readonly string[] {
  return report.scenarios.flatMap((scenario) => {
    const parts = contestFigures(scenario).flatMap((figure) => {
      const standing = figure.standing(report, scenario);
      const best = standing?.ahead[0];
      if (standing === undefined || best === undefined) return [];
      const own = figure.text(standing.walrelay.run);
      return [
        `${figure.name} ${own} against ${figure.text(best.run)} (${best.contestant.name}${inBrackets(best)})`,
      ];
    });
    return parts.length === 0 ? [] : [`Walrelay was behind in “${scenario.title}”: ${parts.join(', ')}.`];
  });
}

function deliveries(report: BenchReport): readonly string[] {
  const faulty = report.scenarios.flatMap((scenario) =>
    measuredIn(report, scenario)
      .filter(({ contestant, run }) => contestant.kind !== 'floor' && faultsOf(run.check).length > 0)
      .map(({ contestant, run }) => ({ contestant, faults: faultsOf(run.check), scenario })),
  );
  const own = faulty.filter(({ contestant }) => contestant.kind === 'walrelay');
  const runs = report.runs.filter(
    ({ contestant, outcome }) =>
      outcome === 'measured' &&
      report.contestants.some(({ id, kind }) => id === contestant && kind === 'walrelay'),
  ).length;
  const names = new Set(
    faulty.filter((each) => !own.includes(each)).map(({ contestant }) => contestant.name),
  );
  return [
    ...own.map(({ faults, scenario }) => `Walrelay ${faults.join(', ')} in “${scenario.title}”.`),
    ...(own.length === 0 && runs > 0
      ? [
          `Walrelay delivered every event once and in order in ${runs === 1 ? 'its run' : `all its ${runs} runs`}.`,
        ]
      : []),
    ...(names.size === 0
      ? []
      : [`Not every event came once, in order and in time by: ${[...names].join('; ')}.`]),
  ];
}

/** How much of a latency is the machine's own. */
function floor(report: BenchReport): readonly string[] {
  const scenario = headlineScenario(report);
  if (scenario?.measures !== 'latency') return [];
  const run = measuredIn(report, scenario).find(({ contestant }) => contestant.kind === 'floor')?.run;
  const latency = run?.latency ?? report.floor.bareLoop;
  if (latency === undefined) return [];
  const where = run?.latency === undefined ? 'one event at a time' : circumstances(scenario);
  return [
    `For comparison, a bare loop without decoding or exactness (the floor): p50 ${formatMs(latency.p50Ms)}, ` +
      `p99 ${formatMs(latency.p99Ms)} ${where}.`,
  ];
}

function everyStanding(report: BenchReport) {
  return report.scenarios.flatMap((scenario) =>
    contestFigures(scenario).flatMap((figure) => {
      const standing = figure.standing(report, scenario);
      return standing === undefined ? [] : [{ scenario, figure, standing }];
    }),
  );
}

function inBrackets({ run }: Measured): string {
  const faults = faultsOf(run.check);
  return faults.length === 0 ? '' : ` (${faults.join(', ')})`;
}
