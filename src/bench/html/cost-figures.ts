import type { BenchReport, RunReport, ScenarioFacts } from '../bench-report.ts';
import { type Bar, type BarFigure } from './bar-figure.ts';
import { contestantStyles, FLOOR_STYLE } from './page/contestant-style.js';
import {
  formatBytes,
  formatCount,
  formatRate,
  formatMicroseconds,
  formatPercent,
} from './page/format-figure.js';
import { type Measured, measuredIn } from './run-lookup.ts';

/** What each relay cost in a scenario: the database first, for it is shared with everybody else. */
export interface CostFigures {
  readonly database: readonly BarFigure[];
  readonly processes: readonly BarFigure[];
}

interface Cost {
  readonly title: string;
  readonly note: string;
  readonly value: (run: RunReport) => number | undefined;
  readonly format: (value: number) => string;
}

const DATABASE: readonly Cost[] = [
  {
    title: 'Queries',
    note: 'a second, against the database',
    value: ({ database }) => database.queriesPerSecond,
    format: formatRate,
  },
  {
    title: 'Transactions',
    note: 'in the whole run',
    value: ({ database }) => database.transactions,
    format: formatCount,
  },
  {
    title: 'Buffers',
    note: 'hit or read, 8 kB each',
    value: ({ database: { buffersHit, buffersRead } }) =>
      buffersHit === undefined && buffersRead === undefined
        ? undefined
        : (buffersHit ?? 0) + (buffersRead ?? 0),
    format: formatCount,
  },
  {
    title: 'WAL written',
    note: 'by the relay',
    value: ({ database }) => database.walBytes,
    format: formatBytes,
  },
  {
    title: 'Dead rows',
    note: 'left for VACUUM',
    value: ({ database }) => database.deadTuples,
    format: formatCount,
  },
];

const PROCESSES = [
  ['relay', 'the relay'],
  ['postgres', 'its Postgres backends'],
  ['redis', 'Redis'],
] as const;

export function costFigures(report: BenchReport, scenario: ScenarioFacts): CostFigures {
  const measured = measuredIn(report, scenario);
  const barsOf = ({ value, format }: Cost) => bars(report, measured, value, format);
  const cpu = PROCESSES.map(([process, name]) => cpuFigure(scenario, process, name)).map((cost) => ({
    cost,
    bars: barsOf(cost),
  }));
  // One scale for all three: the question is who works, and how much.
  const full = Math.max(0, ...cpu.flatMap((figure) => figure.bars.map(({ value }) => value)));
  const memory: Cost = {
    title: 'Memory of the relay',
    note: 'peak RSS',
    value: ({ processes }) => processes.relay?.peakRssBytes,
    format: formatBytes,
  };
  return {
    database: DATABASE.map((cost) => ({ ...cost, bars: barsOf(cost) })).filter(hasBars),
    processes: [
      ...cpu.map(({ cost, bars: own }) => ({ ...cost, bars: own, full })),
      { ...memory, bars: barsOf(memory) },
    ].filter(hasBars),
  };
}

/** At a given rate the share of a core counts; in a drain, where faster is busier, the work for each event. */
function cpuFigure({ measures }: ScenarioFacts, process: (typeof PROCESSES)[number][0], name: string): Cost {
  return measures === 'throughput'
    ? {
        title: `CPU of ${name}`,
        note: 'for each event',
        value: ({ processes }) => processes[process]?.cpuUsPerEvent,
        format: formatMicroseconds,
      }
    : {
        title: `CPU of ${name}`,
        note: 'of one core',
        value: ({ processes, seconds }) => percentOfCore(processes[process]?.cpuSeconds, seconds),
        format: formatPercent,
      };
}

export function percentOfCore(cpuSeconds: number | undefined, seconds: number): number | undefined {
  return cpuSeconds === undefined || seconds <= 0 ? undefined : (100 * cpuSeconds) / seconds;
}

export function bars(
  report: BenchReport,
  measured: readonly Measured[],
  value: (run: RunReport) => number | undefined,
  format: (value: number) => string,
): readonly Bar[] {
  const styles = contestantStyles(report.contestants);
  return measured.flatMap(({ contestant, run }) => {
    const own = value(run);
    const { color } = styles.get(contestant.id) ?? FLOOR_STYLE;
    return own === undefined ? [] : [{ name: contestant.name, color, value: own, text: format(own) }];
  });
}

function hasBars({ bars: own }: BarFigure): boolean {
  return own.length > 0;
}
