import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { build } from '../../dev/build.ts';
import { untilInterrupted } from '../support/until-interrupted.ts';
import { type CampaignResult, runCampaign } from './campaign.ts';
import { loadRows, selectRows, UsageError } from './load-rows.ts';
import { campaignProgress } from './progress.ts';
import { formatMust, formatSums, formatTable, summarize } from './report-table.ts';
import type { Row } from './row.ts';
import { replaceCampaign, replaceSoak } from './reliability-page.ts';
import type { RunResult } from './run-row.ts';
import { SharedServers } from './shared-servers.ts';
import { formatSoak } from './soak/format-soak.ts';
import { SoakReport, soakRow } from './soak/soak.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOAK_MINUTES = 30;
/** Of the short selection; the row that runs then may end. */
const SHORT_LIMIT_MS = 150_000;
const PAGE = join(ROOT, 'docs', 'reliability.md');
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
  readonly report?: true;
}

async function main(options: Options): Promise<number> {
  const soak = new SoakReport();
  const rows =
    options.soak === true ? [soakRow(options.minutes ?? SOAK_MINUTES, soak)] : await chooseRows(options);
  if (rows.length === 0) throw new UsageError('none of these rows is in the short selection');
  if (options.list === true) {
    console.log(formatList(rows));
    return 0;
  }
  console.error('building');
  build();
  const interrupted = untilInterrupted();
  const seed = options.seed ?? randomInt(0x1_0000_0000);
  let result: CampaignResult;
  let serverNames = '';
  const servers = new SharedServers();
  try {
    const descriptions = await servers.descriptions();
    serverNames = descriptions.map((description) => description.split(',', 1)[0]).join(' and ');
    console.error(`${serverNames}; seed ${seed}\n`);
    result = await runCampaign({
      rows,
      seed,
      runs: options.short === true ? 1 : options.runs,
      minutes: options.soak === true ? undefined : options.minutes,
      limitMs: options.short === true ? SHORT_LIMIT_MS : undefined,
      kills: options.kills,
      servers,
      logDir: LOG_DIR,
      progress: campaignProgress(process.stderr),
      interrupted,
    });
  } finally {
    await servers[Symbol.asyncDispose]();
  }
  console.log(`\n${formatTable(summarize(result), process.stdout.columns)}`);
  if (options.soak === true) console.log(formatSoak(soak));
  console.log(formatSums(result));
  const failures = result.results.filter(({ outcome }) => outcome === 'failed');
  for (const failure of failures) console.log(`\n${formatFailure(failure, options)}`);
  if (options.json !== undefined)
    writeFileSync(options.json, `${JSON.stringify(toJson(result, soak), null, 2)}\n`);
  if (options.report === true) {
    const page = readFileSync(PAGE, 'utf8');
    const parts = { result, servers: serverNames };
    const replaced =
      options.soak === true
        ? replaceSoak(page, { ...parts, report: soak })
        : replaceCampaign(page, { ...parts, rows: await loadRows() });
    writeFileSync(PAGE, replaced);
    console.error(`written: ${relative(process.cwd(), PAGE)}`);
  }
  if (failures.length > 0) return 1;
  return result.isInterrupted ? 130 : 0;
}

function formatFailure({ row, seed, cause, logFile }: RunResult, options: Options): string {
  const what =
    row.id === 'soak'
      ? `--soak --minutes ${options.minutes ?? SOAK_MINUTES}`
      : `--only ${row.id} --runs 1${options.kills === undefined ? '' : ` --kills ${options.kills}`}`;
  return [
    `FAILED ${row.id} ${row.fault}`,
    `  ${(cause ?? '').split('\n', 12).join('\n  ')}`,
    `  log:    ${relative(process.cwd(), logFile ?? '')}`,
    `  repeat: npm run chaos -- ${what} --seed ${seed}`,
  ].join('\n');
}

function toJson({ results, notRun, ...rest }: CampaignResult, soak: SoakReport): unknown {
  return {
    ...rest,
    runs: results.map(({ row, ...run }) => ({ row: row.id, fault: row.fault, must: row.must, ...run })),
    notRun: notRun.map(({ row, reason }) => ({ row: row.id, fault: row.fault, reason })),
    ...(soak.checks === 0
      ? {}
      : {
          soak: {
            checks: soak.checks,
            counts: Object.fromEntries(soak.counts),
            recoveriesMs: Object.fromEntries(soak.recoveriesMs),
          },
        }),
  };
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

const EXAMPLES = `
Examples:
  $ npm run chaos                                   every row
  $ npm run chaos -- --only R8,D4 --seed 7          two rows, as seed 7 draws them
  $ npm run chaos -- --only D1 --kills 1000         one row, harder
  $ npm run chaos -- --soak --minutes 30 --report   a soak, written to docs/reliability.md

The exit code is 0 only when every row has passed. docs/reliability.md says what the table means.`;

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
  .option('--report', 'writes the tables of docs/reliability.md; rows that did not run keep their lines')
  .option('--list', 'lists the rows and runs none')
  .addHelpText('after', EXAMPLES)
  .action(async (options: Options) => {
    try {
      process.exitCode = await main(options);
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      command.error(`error: ${error.message}`);
    }
  });
await command.parseAsync();
// A row that did not end may still hold something open.
process.exit();
