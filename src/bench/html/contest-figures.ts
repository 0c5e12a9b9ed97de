import type { BenchReport, RunReport, ScenarioFacts } from '../bench-report.ts';
import { formatMs, formatRate } from './page/format-figure.js';
import { faultsOf, type Measured, measuredIn } from './run-lookup.ts';

/** A figure that decides who was better in a scenario. */
export interface ContestFigure {
  readonly name: 'p50' | 'p99' | 'throughput';
  readonly superlative: string;
  readonly value: (run: RunReport) => number | undefined;
  readonly text: (run: RunReport) => string | undefined;
  readonly isBetter: (a: number, b: number) => boolean;
  /** Where Walrelay stands; undefined when it was not measured. */
  readonly standing: (report: BenchReport, scenario: ScenarioFacts) => Standing | undefined;
}

export interface Standing {
  readonly walrelay: Measured;
  /** All others that have the figure, the best first. */
  readonly others: readonly Measured[];
  /** Those of them that were better, whether or not they delivered everything. */
  readonly ahead: readonly Measured[];
}

const P50 = contestFigure({
  name: 'p50',
  superlative: 'lowest p50',
  value: ({ latency }) => latency?.p50Ms,
  format: (ms) => formatMs(ms),
  isBetter: (a, b) => a < b,
});
const P99 = contestFigure({
  name: 'p99',
  superlative: 'lowest p99',
  value: ({ latency }) => latency?.p99Ms,
  format: (ms) => formatMs(ms),
  isBetter: (a, b) => a < b,
});
const THROUGHPUT = contestFigure({
  name: 'throughput',
  superlative: 'highest throughput',
  value: ({ throughput }) => throughput?.eventsPerSecond,
  format: formatRate,
  isBetter: (a, b) => a > b,
});

export function contestFigures({ measures }: ScenarioFacts): readonly ContestFigure[] {
  return measures === 'latency' ? [P50, P99] : [THROUGHPUT];
}

/** The best among those that delivered everything once and in order: a relay that loses events has not won. */
export function bestOf(figure: ContestFigure, candidates: readonly Measured[]): Measured | undefined {
  return sortedBy(
    figure,
    candidates.filter(
      ({ contestant, run }) => contestant.kind !== 'floor' && faultsOf(run.check).length === 0,
    ),
  )[0];
}

function contestFigure(
  of: Pick<ContestFigure, 'name' | 'superlative' | 'value' | 'isBetter'> & {
    readonly format: (value: number) => string;
  },
): ContestFigure {
  const figure: ContestFigure = {
    name: of.name,
    superlative: of.superlative,
    value: of.value,
    isBetter: of.isBetter,
    text: (run) => {
      const value = of.value(run);
      return value === undefined ? undefined : of.format(value);
    },
    standing: (report, scenario) => {
      const measured = sortedBy(figure, measuredIn(report, scenario));
      const walrelay = measured.find(({ contestant }) => contestant.kind === 'walrelay');
      if (walrelay === undefined) return undefined;
      const own = of.value(walrelay.run);
      const others = measured.filter(({ contestant }) => !['walrelay', 'floor'].includes(contestant.kind));
      return {
        walrelay,
        others,
        ahead: others.filter(({ run }) => {
          const value = of.value(run);
          // What reads the same is the same: a lead in the fourth digit is none.
          return (
            own !== undefined &&
            value !== undefined &&
            of.isBetter(value, own) &&
            of.format(value) !== of.format(own)
          );
        }),
      };
    },
  };
  return figure;
}

/** Those that have the figure, the best first. */
function sortedBy(figure: ContestFigure, candidates: readonly Measured[]): readonly Measured[] {
  return candidates
    .flatMap((measured) => {
      const value = figure.value(measured.run);
      return value === undefined ? [] : [{ measured, value }];
    })
    .sort((a, b) => (figure.isBetter(a.value, b.value) ? -1 : figure.isBetter(b.value, a.value) ? 1 : 0))
    .map(({ measured }) => measured);
}
