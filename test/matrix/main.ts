import { randomInt } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { build } from '../../dev/build.ts';
import { CHECKS } from './checks.ts';
import { untilInterrupted } from '../support/until-interrupted.ts';
import { formatMatrix, formatSum, missingReasons } from './matrix-table.ts';
import { type CellResult, type CheckResult, runCell } from './run-cell.ts';
import { choosePairs, type Pair, parsePostgresList, parseRedisList } from './server-versions.ts';
import { replaceMatrix } from './versions-page.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = join(ROOT, 'docs', 'versions.md');
const LOG_DIR = join(ROOT, '.cache', 'matrix');
const EXIT_INTERRUPTED = 130;

interface Options {
  readonly postgres?: string;
  readonly redis?: string;
  readonly only?: string;
  readonly full?: true;
  readonly seed?: number;
  readonly jobs?: number;
  readonly list?: true;
  readonly json?: true;
  readonly report?: true;
}

async function main(options: Options): Promise<number> {
  const pairs = choosePairs(
    parsePostgresList(options.postgres),
    parseRedisList(options.redis),
    options.full === true,
  );
  const checks = chooseChecks(options.only);
  if (options.list === true) {
    console.log(pairs.map(formatPair).join('\n'));
    console.log(`\n${checks.map(({ id, what }) => `${id.padEnd(12)} ${what}`).join('\n')}`);
    return 0;
  }
  console.error('building');
  build();
  const interrupted = untilInterrupted();
  const seed = options.seed ?? randomInt(0x1_0000_0000);
  console.error(`${pairs.length} pairs, ${checks.length} checks each; seed ${seed}\n`);
  const results = await runPairs(pairs, options.jobs ?? 1, async (pair) => {
    const cell = await runCell(pair, {
      checks,
      seed,
      logDir: LOG_DIR,
      interrupted,
      onStep: (text) => showStep(`${formatPair(pair)}: ${text}`),
      onCheck: (result) => showLine(formatCheck(pair, result)),
    });
    showLine(formatCell(cell));
    return cell;
  });
  const failures = results.filter(({ outcome }) => outcome === 'failed');
  if (options.json === true) {
    console.log(JSON.stringify(toJson(seed, results), null, 2));
  } else {
    console.log(`\n${formatMatrix(results)}\n${formatSum(results)}`);
    const reasons = missingReasons(results);
    if (reasons.length > 0) console.log(`\nnot offered:\n  ${reasons.join('\n  ')}`);
    for (const cell of failures) console.log(`\n${formatFailure(cell, seed)}`);
  }
  if (options.report === true) {
    writeFileSync(PAGE, replaceMatrix(readFileSync(PAGE, 'utf8'), { results, checks }));
    console.error(`written: ${relative(process.cwd(), PAGE)}`);
  }
  if (failures.length > 0) return 1;
  return results.some(({ outcome }) => outcome === 'interrupted') ? EXIT_INTERRUPTED : 0;
}

/** In the order of the pairs, whichever ends first. After an interruption no further one begins. */
async function runPairs(
  pairs: readonly Pair[],
  jobs: number,
  run: (pair: Pair) => Promise<CellResult>,
): Promise<CellResult[]> {
  const results: CellResult[] = [];
  let next = 0;
  let isInterrupted = false;
  const work = async (): Promise<void> => {
    while (next < pairs.length && !isInterrupted) {
      const index = next;
      next += 1;
      const result = await run(pairs[index] as Pair);
      results[index] = result;
      isInterrupted ||= result.outcome === 'interrupted';
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, pairs.length) }, work));
  return results.filter(() => true);
}

function chooseChecks(only: string | undefined) {
  if (only === undefined) return CHECKS;
  const ids = only.split(',').map((id) => id.trim());
  const unknown = ids.filter((id) => !CHECKS.some((check) => check.id === id));
  if (unknown.length > 0)
    throw new RangeError(
      `no such check: ${unknown.join(', ')}; there are ${CHECKS.map(({ id }) => id).join(', ')}`,
    );
  return CHECKS.filter(({ id }) => ids.includes(id));
}

function formatPair({ postgres, redis }: Pair): string {
  return `PostgreSQL ${postgres} and ${redis}`;
}

function formatCheck(pair: Pair, { check, outcome, cause, events, elapsedMs }: CheckResult): string {
  const mark = { passed: 'ok  ', failed: 'FAIL', 'not offered': '–   ' }[outcome];
  const seconds = outcome === 'not offered' ? '' : `${(elapsedMs / 1000).toFixed(1)} s`;
  const figures = events === 0 ? '' : ` (${events.toLocaleString('en')} events)`;
  const place = `${pair.postgres} ${pair.redis}`.padEnd(13);
  const line = `${mark} ${place} ${check.id.padEnd(12)} ${seconds.padStart(7)}${figures}`;
  return cause === undefined ? line : `${line}  ${cause.split('\n', 1)[0]}`;
}

function formatCell({ pair, versions, outcome, cause, elapsedMs }: CellResult): string {
  const names = versions === null ? '' : ` (${versions.postgres}, ${versions.redis})`;
  const why = cause === undefined ? '' : `: ${cause.split('\n', 1)[0]}`;
  return `${formatPair(pair)}${names}: ${outcome} in ${(elapsedMs / 1000).toFixed(0)} s${why}\n`;
}

function formatFailure({ pair, cause, checks }: CellResult, seed: number): string {
  const failed = checks.filter(({ outcome }) => outcome === 'failed');
  const only = failed.length === 0 ? '' : ` --only ${failed.map(({ check }) => check.id).join(',')}`;
  return [
    `FAILED ${formatPair(pair)}`,
    ...(cause === undefined ? [] : [`  ${cause}`]),
    ...failed.flatMap(({ check, cause: why, logFile }) => [
      `  ${check.id}: ${(why ?? '').split('\n', 8).join('\n    ')}`,
      `    log: ${relative(process.cwd(), logFile ?? '')}`,
    ]),
    `  repeat: npm run matrix -- --postgres ${pair.postgres} --redis ${pair.redis}${only} --seed ${seed}`,
  ].join('\n');
}

function toJson(seed: number, results: readonly CellResult[]): unknown {
  return {
    seed,
    cells: results.map(({ checks, ...cell }) => ({
      ...cell,
      checks: checks.map(({ check, ...rest }) => ({ check: check.id, what: check.what, ...rest })),
    })),
  };
}

/** On a terminal alone: what goes on now, gone with the next line. */
function showStep(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[2K${text.slice(0, process.stderr.columns - 1)}`);
}

function showLine(text: string): void {
  process.stderr.write(`${process.stderr.isTTY ? '\r\u001b[2K' : ''}${text}\n`);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new InvalidArgumentError('not a whole number');
  return value;
}

function positiveNumber(text: string): number {
  const value = wholeNumber(text);
  if (value === 0) throw new InvalidArgumentError('at least 1');
  return value;
}

const EXAMPLES = `
Examples:
  $ npm run matrix                                            each version with the default of the other side, and the corners
  $ npm run matrix -- --full                                  every pair
  $ npm run matrix -- --postgres 15,17 --redis 7.0,valkey-8   two and two
  $ npm run matrix -- --postgres 14 --only recover,audit      some checks
  $ npm run matrix -- --report                                writes docs/versions.md

Servers that can't be had on this machine are not offered, with the reason, and fail nothing. The exit code is 0 only when
no check has failed.`;

const command = new Command('matrix')
  .description('Runs the relay between every PostgreSQL and every Redis that it promises to work with.')
  .option('--postgres <versions>', '14 to 18: 15,17')
  .option('--redis <versions>', '6.2, 7.0, 8, valkey-7.2, valkey-8, valkey-9')
  .option('--full', 'every pair, instead of each version with the default of the other side')
  .option('--only <checks>', 'some of the checks')
  .option('--seed <number>', 'repeats the load that a seed drew', wholeNumber)
  .option('--jobs <number>', 'pairs at a time, each with servers of its own (default 1)', positiveNumber)
  .option('--json', 'the results as JSON on standard output, instead of the table')
  .option('--report', 'writes the tables of docs/versions.md')
  .option('--list', 'lists the pairs and the checks and runs none')
  .addHelpText('after', EXAMPLES)
  .action(async (options: Options) => {
    try {
      process.exitCode = await main(options);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      command.error(`error: ${error.message}`);
    }
  });
await command.parseAsync();
// A check that did not end may still hold something open.
process.exit();
