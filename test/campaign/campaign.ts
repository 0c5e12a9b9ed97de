import { Random } from '../support/chaos-random.ts';
import type { CampaignProgress } from './progress.ts';
import type { Row } from './row.ts';
import { runRow, type RunResult } from './run-row.ts';
import type { SharedServers } from './shared-servers.ts';

export interface CampaignOptions {
  readonly rows: readonly Row[];
  /** The first run of each row has this seed, the second the next, and so on: `--seed` repeats any of them. */
  readonly seed: number;
  /** Of each row; undefined: as often as the row says. */
  readonly runs?: number | undefined;
  /** Random rows, round after round, until the time is over; undefined: each row its number of times. */
  readonly minutes?: number | undefined;
  /** No further row begins after that; those that are left are told. Undefined: no limit. */
  readonly limitMs?: number | undefined;
  readonly kills?: number | undefined;
  readonly servers: SharedServers;
  readonly logDir: string;
  readonly progress: CampaignProgress;
  /** Resolves when the user wants it to end. */
  readonly interrupted: Promise<void>;
}

export interface NotRun {
  readonly row: Row;
  readonly reason: string;
}

export interface CampaignResult {
  readonly seed: number;
  readonly results: readonly RunResult[];
  readonly notRun: readonly NotRun[];
  readonly elapsedMs: number;
  readonly isInterrupted: boolean;
}

/** Runs rows one after the other: servers under test and servers being killed share the machine. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const startedAtMs = performance.now();
  const notRun: NotRun[] = [];
  const rows: Row[] = [];
  for (const row of options.rows) {
    const reason = (await row.impossible?.()) ?? null;
    if (reason === null) rows.push(row);
    else notRun.push({ row, reason });
  }
  const results: RunResult[] = [];
  let isInterrupted = false;
  void options.interrupted.then(() => {
    isInterrupted = true;
  });
  const endsAtMs = options.minutes === undefined ? undefined : startedAtMs + options.minutes * 60_000;
  options.progress.begins(endsAtMs === undefined ? planned(rows, options.runs) : undefined);
  for (const { row, seed } of schedule(rows, options)) {
    if (isInterrupted || (endsAtMs !== undefined && performance.now() >= endsAtMs)) break;
    if (options.limitMs !== undefined && performance.now() - startedAtMs > options.limitMs) {
      notRun.push({ row, reason: 'the time was over' });
      continue;
    }
    options.progress.runBegins(row, seed);
    const result = await runRow(row, {
      seed,
      servers: options.servers,
      kills: options.kills,
      logDir: options.logDir,
      interrupted: options.interrupted,
      onStep: (text) => options.progress.step(text),
      onMilestone: (text) => options.progress.milestone(text),
    });
    results.push(result);
    options.progress.runEnds(result);
  }
  options.progress.end();
  return {
    seed: options.seed,
    results,
    notRun,
    elapsedMs: performance.now() - startedAtMs,
    isInterrupted,
  };
}

function planned(rows: readonly Row[], runs: number | undefined): number {
  return rows.reduce((sum, row) => sum + (runs ?? row.runs), 0);
}

function* schedule(
  rows: readonly Row[],
  options: Pick<CampaignOptions, 'seed' | 'runs' | 'minutes'>,
): Iterable<{ readonly row: Row; readonly seed: number }> {
  if (options.minutes === undefined) {
    for (const row of rows) {
      for (let run = 0; run < (options.runs ?? row.runs); run += 1) yield { row, seed: options.seed + run };
    }
    return;
  }
  if (rows.length === 0) return;
  const random = new Random(options.seed);
  for (let round = 0; ; round += 1) {
    for (const row of random.shuffle(rows)) yield { row, seed: options.seed + round };
  }
}
