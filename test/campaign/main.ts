import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { build } from '../../dev/build.ts';
import { type CampaignResult, runCampaign } from './campaign.ts';
import { loadRows, selectRows } from './load-rows.ts';
import { campaignProgress } from './progress.ts';
import { formatMust, formatSums, formatTable, summarize } from './report-table.ts';
import type { Row } from './row.ts';
import { SharedServers } from './shared-servers.ts';
import { formatSoak } from './soak/format-soak.ts';
import { SoakReport, soakRow } from './soak/soak.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOAK_MINUTES = 30;
const LOG_DIR = join(ROOT, '.cache', 'chaos');

interface Options {
  readonly only?: string;
  readonly seed?: number;
  readonly runs?: number;
  readonly minutes?: number;
  readonly kills?: number;
  readonly short?: true;
  readonly soak?: true;
  readonly list?: true;
  readonly json?: string;
}

async function main(options: Options): Promise<number> {
  const soak = new SoakReport();
  const rows =
    options.soak === true ? [soakRow(options.minutes ?? SOAK_MINUTES, soak)] : await chooseRows(options);
  if (options.list === true) {
    console.log(formatList(rows));
    return 0;
  }
  console.error('building');
  build();
  const stop = untilInterrupted();
  const seed = options.seed ?? randomInt(0x1_0000_0000);
  let result: CampaignResult;
  const servers = new SharedServers();
  try {
    for (const description of await servers.descriptions()) console.error(description);
    console.error(`seed ${seed}\n`);
    result = await runCampaign({
      rows,
      seed,
      runs: options.short === true ? 1 : options.runs,
      minutes: options.soak === true ? undefined : options.minutes,
      kills: options.kills,
      servers,
      logDir: LOG_DIR,
      progress: campaignProgress(process.stderr),
      interrupted: stop,
    });
  } finally {
    await servers[Symbol.asyncDispose]();
  }
  console.log(`\n${formatTable(summarize(result))}`);
  if (options.soak === true) console.log(formatSoak(soak));
  console.log(formatSums(result));
  const failures = result.results.filter(({ outcome }) => outcome === 'failed');
  for (const { row, seed: runSeed, cause, logFile } of failures) {
    console.log(`\nFAILED ${row.id} ${row.fault}\n  ${(cause ?? '').split('\n', 12).join('\n  ')}`);
    console.log(`  log:    ${relative(process.cwd(), logFile ?? '')}`);
    const what =
      row.id === 'soak' ? `--soak --minutes ${options.minutes ?? SOAK_MINUTES}` : `--only ${row.id} --runs 1`;
    console.log(`  repeat: npm run chaos -- ${what} --seed ${runSeed}`);
  }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(result, null, 2)}\n`);
  if (failures.length > 0) return 1;
  return result.isInterrupted ? 130 : 0;
}

async function chooseRows({ only, short }: Options): Promise<readonly Row[]> {
  const all = await loadRows();
  const named = only === undefined ? all : selectRows(all, only);
  return short === true ? named.filter(({ isShort }) => isShort === true) : named;
}

function formatList(rows: readonly Row[]): string {
  return rows
    .map(({ id, fault, must, isShort }) =>
      [id.padEnd(4), formatMust(must).padEnd(14), isShort === true ? 'short' : '     ', fault].join('  '),
    )
    .join('\n');
}

/** The first Ctrl-C ends the run that goes on and tells what ran; the second ends the process. */
function untilInterrupted(): Promise<void> {
  return new Promise((resolve) => {
    let isAsked = false;
    const ask = () => {
      if (isAsked) process.exit(130);
      isAsked = true;
      console.error('\nstopping: ending the servers (again to stop at once)');
      resolve();
    };
    process.on('SIGINT', ask);
    process.on('SIGTERM', ask);
  });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('not a whole number');
  return value;
}

function minutes(text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new InvalidArgumentError('not a number of minutes');
  return value;
}

const command = new Command('chaos')
  .description(
    'Breaks everything that Walrelay stands on, row by row of the fault table, and checks what must happen.',
  )
  .option('--only <rows>', 'rows or whole classes: R8,D4 or P,N')
  .option('--short', 'the selection that runs before every change lands; three minutes')
  .option(
    '--seed <number>',
    'repeats what a seed drew; each further run of a row has the next seed',
    wholeNumber,
  )
  .option('--runs <number>', 'of each row, instead of its own number', wholeNumber)
  .option('--minutes <number>', 'random rows, round after round, until the time is over', minutes)
  .option('--soak', `random faults every 1 to 10 seconds under load, for --minutes (default ${SOAK_MINUTES})`)
  .option('--kills <number>', 'for rows that kill the relay in a loop', wholeNumber)
  .option('--json <file>', 'writes every run to a file')
  .option('--list', 'lists the rows and runs none')
  .action(async (options: Options) => {
    process.exitCode = await main(options);
  });
await command.parseAsync();
// A row that did not end may still hold something open.
process.exit();
