import type {
  BenchReport,
  ContestantFacts,
  DeliveryCheck,
  RunReport,
  ScenarioFacts,
} from '../bench-report.ts';
import { formatCount } from './page/format-figure.js';

/** Those that ran, as the tables and charts have them: the floor last, for it is no contestant. */
export function contestantsThatRan(report: BenchReport): readonly ContestantFacts[] {
  const ran = report.contestants.filter(({ id }) => report.runs.some(({ contestant }) => contestant === id));
  return [...ran.filter(({ kind }) => kind !== 'floor'), ...ran.filter(({ kind }) => kind === 'floor')];
}

/** The one run of a contestant in a scenario; the last, should there be several. */
export function runOf(
  report: BenchReport,
  contestant: ContestantFacts,
  scenario: ScenarioFacts,
): RunReport | undefined {
  return report.runs.findLast((run) => run.contestant === contestant.id && run.scenario === scenario.id);
}

export interface Measured {
  readonly contestant: ContestantFacts;
  readonly run: RunReport;
}

/** Who has figures in a scenario. */
export function measuredIn(report: BenchReport, scenario: ScenarioFacts): readonly Measured[] {
  return contestantsThatRan(report).flatMap((contestant) => {
    const run = runOf(report, contestant, scenario);
    return run?.outcome === 'measured' ? [{ contestant, run }] : [];
  });
}

/** What a relay did wrong, in words; nothing when every event came once and in order. */
export function faultsOf({ missing, duplicated, misordered, timedOut }: DeliveryCheck): readonly string[] {
  return [
    missing > 0 ? `lost ${formatCount(missing)}` : '',
    duplicated > 0 ? `doubled ${formatCount(duplicated)}` : '',
    misordered > 0 ? `misordered ${formatCount(misordered)}` : '',
    timedOut ? 'ran out of time' : '',
  ].filter((fault) => fault !== '');
}
