import type { Command } from 'commander';
import type { BenchHost } from '../bench/bench-host.ts';
import { cleanServers } from '../bench/clean-servers.ts';
import { ownContestants } from '../bench/contestants/own-contestants.ts';
import { ProcessGuard } from '../bench/process-guard.ts';
import { runBench } from '../bench/run-bench.ts';
import {
  floorSeconds,
  selectContestants,
  selectScenarios,
  takesPart,
  type Wishes,
} from '../bench/selection.ts';
import { EXIT } from '../core/error-codes.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { events, ids, seconds, seed } from './bench-arguments.ts';
import { type Checkout, openCheckout, RUNS_FROM_SOURCE } from './bench-checkout.ts';
import {
  commandLine,
  HTML_FILE,
  isClean,
  listText,
  type OutputWishes,
  publishReport,
} from './bench-output.ts';
import { benchProgress, removedText } from './bench-progress.ts';
import { benchServers } from './bench-servers.ts';
import { BenchStop } from './bench-stop.ts';
import { addSettingFlags } from './command-settings.ts';

/** It was measured, and what was found is not as it should be. */
const EXIT_NOT_CLEAN = 1;

const EXIT_CODES = `Exit codes:
  0   measured
  1   a run failed, or Walrelay itself lost, doubled or misordered an event
  78  a setting or argument is wrong
  130 interrupted; everything was removed
  others as of walrelay run: see docs/errors.md`;

export function addBenchCommand(program: Command, version: string): void {
  const bench = program
    .command('bench')
    .description('Measure Walrelay against polling relays, on your own servers.')
    .addHelpText(
      'after',
      `
Everything that it makes is its own (walrelay_bench_<id>) and is removed at the end.

Examples:
  $ walrelay bench --quick
  $ walrelay bench --scenario steady-500,drain --relay walrelay,poll-100,floor
  $ walrelay bench clean

${EXIT_CODES}

\`run\` is what happens without a command; \`walrelay bench run --help\` lists its options.`,
    );

  const run = bench
    .command('run', { isDefault: true })
    .description('Measure: latency, throughput and cost of each relay in each scenario.')
    .option('--quick', 'a look at the whole in about two minutes')
    .option('--scenario <ids>', 'only these scenarios, with commas between; --list names them', ids)
    .option(
      '--relay <ids>',
      'only these relays, in every scenario; --list names them; peer: all of --peers',
      ids,
    )
    .option('--duration <seconds>', 'the measured part of each steady rate', seconds)
    .option('--events <number>', "a drain's backlog", events)
    .option('--seed <number>', 'repeats the load of a run, and the order of the relays', seed)
    .option('--peers', 'with relays of others; only in a checkout')
    .option('--json [file]', 'the whole report as JSON, to a file or instead of the tables')
    .option('--html [file]', `the report as a page (default ${HTML_FILE})`)
    .option('--no-html', 'no page')
    .option('--list', 'only list scenarios and relays')
    .addHelpText(
      'after',
      `
Without DATABASE_URL and REDIS_URL a checkout starts servers of its own and throws them away.
Of the settings only the two connections count; every relay runs with the defaults.

Examples:
  $ DATABASE_URL=postgres://me@db/shop REDIS_URL=redis://cache walrelay bench --quick
  $ walrelay bench --scenario drain --events 500000 --json report.json
  $ walrelay bench --relay walrelay,notify --duration 30

${EXIT_CODES}`,
    );
  addSettingFlags(run, ['connections']);
  run.action(() => runCommand(run, version));

  const clean = bench
    .command('clean')
    .description('Remove what a crashed bench has left: slots, publications, schemas, keys.')
    .addHelpText(
      'after',
      `
A run that lives is left alone, and so is everything that is not called walrelay_bench_<id>.

Example:
  $ DATABASE_URL=postgres://me@db/shop REDIS_URL=redis://cache walrelay bench clean`,
    );
  addSettingFlags(clean, ['connections']);
  clean.action(() => cleanCommand(clean));
}

interface RunOptions extends OutputWishes {
  readonly quick?: true;
  readonly scenario?: readonly string[];
  readonly relay?: readonly string[];
  readonly duration?: number;
  readonly events?: number;
  readonly seed?: number;
  readonly peers?: true;
  readonly list?: true;
}

async function runCommand(command: Command, version: string): Promise<void> {
  const options = command.opts<RunOptions>();
  const wishes: Wishes = {
    scenarios: options.scenario,
    relays: options.relay,
    isQuick: options.quick === true,
    seconds: options.duration,
    drainEvents: options.events,
  };
  const checkout = await openCheckout();
  const host = benchHost();
  const others = options.peers === true ? peersOf(checkout) : [];
  const guard = new ProcessGuard();
  const known = [...ownContestants(version, { env: host.env, guard }), ...others];
  const scenarios = selectScenarios(wishes);
  const contestants = selectContestants(known, wishes);
  if (options.list === true) {
    process.stdout.write(listText(selectScenarios({ isQuick: false }), known));
    return;
  }

  const progress = benchProgress(process.stderr);
  const stop = new BenchStop();
  try {
    if (RUNS_FROM_SOURCE && checkout !== undefined) {
      progress.note('building');
      checkout.build();
    }
    await using servers = await benchServers(command, checkout);
    for (const description of servers.descriptions) progress.note(description);
    stop.signal.throwIfAborted();
    const report = await runBench(
      {
        databaseUrl: servers.databaseUrl,
        redisUrl: servers.redisUrl,
        walrelayVersion: version,
        command: commandLine(),
        seed: options.seed ?? 1,
        floorSeconds: floorSeconds(wishes),
        scenarios,
        takesPart: (contestant, scenario) => takesPart(contestant, scenario, wishes),
        contestants,
        guard,
        signal: stop.signal,
      },
      host,
      progress,
    );
    progress.end();
    publishReport(report, options);
    process.exitCode = stop.signal.aborted ? EXIT.killed : isClean(report) ? EXIT.ok : EXIT_NOT_CLEAN;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.exitCode = EXIT.killed;
  } finally {
    progress.end();
    stop.release();
  }
}

async function cleanCommand(command: Command): Promise<void> {
  await using servers = await benchServers(command, undefined);
  const removed = await cleanServers(servers);
  for (const each of removed) process.stdout.write(`${removedText(each)}\n`);
  if (removed.length === 0) process.stdout.write('nothing was left\n');
}

function peersOf(checkout: Checkout | undefined) {
  if (checkout === undefined) {
    throw new WalrelayError('CONFIG_INVALID', '--peers needs a checkout: an installed package has no peers', {
      hint: 'git clone the repository, npm ci, then: npm run bench -- --peers',
    });
  }
  return checkout.peers();
}

function benchHost(): BenchHost {
  const env: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) {
    // Neither a setting nor a URL of somebody's own relay, nor a loader, is for the processes that are measured.
    if (value === undefined || /^WALRELAY_|^(?:DATABASE|REDIS)_URL|^NODE_OPTIONS$/.test(name)) continue;
    env[name] = value;
  }
  return {
    nowUs: () => Number(process.hrtime.bigint() / 1000n),
    nodeVersion: process.version,
    env,
  };
}
