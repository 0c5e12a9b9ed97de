import Table from 'cli-table3';
import type { BenchReport, DeliveryCheck, RunReport, ScenarioFacts, WriterCost } from './bench-report.ts';

/** The report as text for a terminal: a table for each scenario, then the floor and what to know. No colours. */
export function renderTables(report: BenchReport): string {
  const parts = report.scenarios
    .map((scenario) => ({ scenario, runs: report.runs.filter((run) => run.scenario === scenario.id) }))
    .filter(({ runs }) => runs.length > 0)
    .map(({ scenario, runs }) => scenarioText(report, scenario, runs));
  return [head(report), ...parts, floorText(report), writersText(report), remarksText(report)]
    .filter((part) => part !== '')
    .join('\n\n')
    .concat('\n');
}

function head({ walrelayVersion, machine, postgres, redis, isComplete }: BenchReport): string {
  const settings = ['synchronous_commit', 'fsync', 'wal_writer_delay']
    .filter((name) => postgres.settings[name] !== undefined)
    .map((name) => `${name} ${postgres.settings[name]}`);
  return [
    `Walrelay ${walrelayVersion}, PostgreSQL ${postgres.version} (${settings.join(', ')}), Redis ${redis.version}, ` +
      `Node ${machine.node}, ${machine.cores} cores`,
    ...(isComplete ? [] : ['NOT COMPLETE: it was interrupted, or a run failed; what is here was measured.']),
  ].join('\n');
}

function scenarioText(report: BenchReport, scenario: ScenarioFacts, runs: readonly RunReport[]): string {
  const isLatency = scenario.measures === 'latency';
  const measured = runs.filter(({ outcome }) => outcome === 'measured');
  const ordered = report.contestants
    .map(({ id }) => measured.find(({ contestant }) => contestant === id))
    .filter((run) => run !== undefined);
  const table = newTable([...(isLatency ? LATENCY_HEAD : THROUGHPUT_HEAD), ...COST_HEAD]);
  for (const run of ordered) {
    const figures = isLatency ? latencyCells(report, run, measured) : throughputCells(report, run, measured);
    table.push([run.contestant, ...figures, checkText(run.check), ...costCells(run)]);
  }
  const others = runs
    .filter(({ outcome }) => outcome !== 'measured')
    .map(({ contestant, outcome, reason }) => `  ${contestant} ${outcome}: ${reason ?? 'no reason given'}`);
  return [
    `${scenario.title} [${scenario.id}]`,
    scenario.summary,
    ...(ordered.length === 0 ? [] : [table.toString()]),
    ...others,
  ].join('\n');
}

const LATENCY_HEAD = ['relay', 'p50 ms', 'p90 ms', 'p99 ms', 'p99.9 ms', 'max ms', '/ floor', '/ best poll'];
const THROUGHPUT_HEAD = ['relay', 'events/s', 'seconds', '× recvlogical', '× best poll'];
const COST_HEAD = [
  'delivery',
  'relay µs/ev',
  'pg µs/ev',
  'redis µs/ev',
  'relay RSS',
  'tx/s',
  'WAL',
  'dead rows',
];

/** Ratios of p50 and of p99: to the bare loop in the same scenario, and to the best polling relay in it. */
function latencyCells(report: BenchReport, run: RunReport, runs: readonly RunReport[]): string[] {
  const { latency } = run;
  if (latency === undefined) return Array.from({ length: LATENCY_HEAD.length - 1 }, () => '–');
  const floor = runs.find(({ contestant }) => kindOf(report, contestant) === 'floor')?.latency;
  const polling = runs
    .filter(({ contestant, check }) => isPolling(report, contestant) && isExact(check))
    .map((other) => other.latency)
    .filter((other) => other !== undefined)
    .sort((a, b) => a.p50Ms - b.p50Ms)[0];
  return [
    ...[latency.p50Ms, latency.p90Ms, latency.p99Ms, latency.p999Ms, latency.maxMs].map(formatMs),
    ratios([latency.p50Ms, latency.p99Ms], floor === undefined ? undefined : [floor.p50Ms, floor.p99Ms]),
    ratios(
      [latency.p50Ms, latency.p99Ms],
      polling === undefined ? undefined : [polling.p50Ms, polling.p99Ms],
    ),
  ];
}

function throughputCells(report: BenchReport, run: RunReport, runs: readonly RunReport[]): string[] {
  const { throughput } = run;
  if (throughput === undefined) return Array.from({ length: THROUGHPUT_HEAD.length - 1 }, () => '–');
  const polling = runs
    .filter(({ contestant, check }) => isPolling(report, contestant) && isExact(check))
    .map((other) => other.throughput?.eventsPerSecond ?? 0);
  // It read the backlog of single rows; it can't be held against another one.
  const reading = run.scenario === 'drain' ? report.floor.recvlogicalEventsPerSecond : undefined;
  return [
    throughput.eventsPerSecond.toLocaleString('en'),
    throughput.seconds.toFixed(2),
    ratios([throughput.eventsPerSecond], reading === undefined ? undefined : [reading]),
    ratios([throughput.eventsPerSecond], polling.length === 0 ? undefined : [Math.max(...polling)]),
  ];
}

function costCells({ processes, database }: RunReport): string[] {
  const us = (cost: number | undefined) => (cost === undefined ? '–' : cost.toFixed(cost < 100 ? 1 : 0));
  return [
    us(processes.relay?.cpuUsPerEvent),
    us(processes.postgres?.cpuUsPerEvent),
    us(processes.redis?.cpuUsPerEvent),
    formatBytes(processes.relay?.peakRssBytes),
    database.transactionsPerSecond?.toLocaleString('en') ?? '–',
    formatBytes(database.walBytes),
    database.deadTuples?.toLocaleString('en') ?? '–',
  ];
}

function floorText({ floor }: BenchReport): string {
  const rows: string[] = [];
  const latency = (what: string, report: BenchReport['floor']['copyData']) => {
    if (report === undefined) return;
    const { p50Ms, p99Ms, maxMs } = report;
    rows.push(
      `  ${what.padEnd(44)} p50 ${formatMs(p50Ms)}  p99 ${formatMs(p99Ms)}  max ${formatMs(maxMs)} ms`,
    );
  };
  const throughput = (what: string, perSecond: number | undefined) => {
    if (perSecond !== undefined) rows.push(`  ${what.padEnd(44)} ${perSecond.toLocaleString('en')} events/s`);
  };
  latency('intended send until a bare client had CopyData', floor.copyData);
  latency('one XADD and its answer', floor.redisRoundTrip);
  latency('bare loop, one event at a time', floor.bareLoop);
  throughput(
    `pg_recvlogical ${floor.recvlogicalVersion ?? ''} to /dev/null`,
    floor.recvlogicalEventsPerSecond,
  );
  throughput('decoding in the server', floor.serverDecodeEventsPerSecond);
  rows.push(...floor.notes.map((note) => `  ${note}`));
  return rows.length === 0 ? '' : ['The floor', ...rows].join('\n');
}

function writersText({ writers }: BenchReport): string {
  if (writers === undefined) return '';
  const { costs, payloadBytes, notes } = writers;
  const table = newTable([
    'outbox',
    'transaction ms',
    '× no event',
    'WAL B/event',
    'table + index B/event',
    'dead rows/event',
    'VACUUM WAL B/event',
    'VACUUM µs/event',
  ]);
  for (const cost of costs) {
    const { id, name, transactionMs, timesNone } = cost;
    const perEvent = writerFigures(cost).map((value) => (id === 'none' ? '–' : value.toLocaleString('en')));
    table.push([name, formatMs(transactionMs), formatRatio(timesNone), ...perEvent]);
  }
  return [
    'What an event costs its writer, and the database',
    ...(costs.length === 0
      ? []
      : [
          `An UPDATE and an event with ${payloadBytes} bytes of payload, one such transaction after the other.`,
          table.toString(),
        ]),
    ...notes.map((note) => `  ${note}`),
  ].join('\n');
}

function remarksText({ remarks, contestants }: BenchReport): string {
  const missing = contestants
    .filter(({ unavailable }) => unavailable !== undefined)
    .map(({ id, unavailable }) => `${id} did not run: ${unavailable}`);
  const lines = [...missing, ...remarks].map((remark) => `  - ${remark}`);
  return lines.length === 0 ? '' : ['To know', ...lines].join('\n');
}

/** What an event costs the database, in the order of the table's columns. */
export function writerFigures(cost: WriterCost): readonly number[] {
  return [
    cost.walBytesPerEvent,
    cost.storedBytesPerEvent,
    cost.deadRowsPerEvent,
    cost.vacuumWalBytesPerEvent,
    cost.vacuumUsPerEvent,
  ];
}

export function checkText({ missing, duplicated, misordered, timedOut, foreign }: DeliveryCheck): string {
  const faults = [
    ...(missing > 0 ? [`${missing.toLocaleString('en')} missing`] : []),
    ...(duplicated > 0 ? [`${duplicated.toLocaleString('en')} doubled`] : []),
    ...(misordered > 0 ? [`${misordered.toLocaleString('en')} misordered`] : []),
    ...(foreign === undefined ? [] : [`${foreign.toLocaleString('en')} foreign`]),
    ...(timedOut ? ['not done in time'] : []),
  ];
  return faults.length === 0 ? 'exact' : faults.join(', ');
}

export function isExact(check: DeliveryCheck): boolean {
  return checkText(check) === 'exact';
}

function kindOf({ contestants }: BenchReport, id: string): string | undefined {
  return contestants.find((contestant) => contestant.id === id)?.kind;
}

function isPolling(report: BenchReport, id: string): boolean {
  const kind = kindOf(report, id);
  return kind === 'polling' || kind === 'notify';
}

function ratios(values: readonly number[], to: readonly number[] | undefined): string {
  if (to === undefined) return '–';
  return values
    .map((value, index) => {
      const divisor = to[index] ?? 0;
      return divisor === 0 ? '–' : formatRatio(value / divisor);
    })
    .join(' · ');
}

function formatRatio(ratio: number): string {
  return ratio.toFixed(ratio < 10 ? 2 : 0);
}

function formatMs(ms: number): string {
  return ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0);
}

function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return '–';
  if (bytes < 1e3) return `${bytes} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(0)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function newTable(columns: readonly string[]): Table.Table {
  return new Table({
    head: [...columns],
    colAligns: columns.map((_, index) => (index === 0 ? 'left' : 'right')),
    style: { head: [], border: [], compact: true },
  });
}
