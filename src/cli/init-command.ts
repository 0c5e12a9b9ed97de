import type { Command } from 'commander';
import type { WalrelayError } from '../core/walrelay-error.ts';
import { type InitOptions, initialize, newTableColumns } from '../relay/initialize.ts';
import { Ground } from '../relay/ground.ts';
import { relayShape } from '../relay/relay-shape.ts';
import { setupScript } from '../source/setup-sql.ts';
import {
  addSnapshotOptions,
  initSnapshot,
  requireSnapshot,
  SNAPSHOT_HELP,
  type SnapshotFlags,
} from './init-snapshot.ts';
import { addDetectOptions, DETECT_HELP, type DetectFlags, initDetect, requireDetect } from './init-detect.ts';
import { printError } from './print-error.ts';
import { addSettingFlags, commandSettings, holderName } from './command-settings.ts';

export function addInitCommand(program: Command): void {
  const command = program
    .command('init')
    .description('Set up publication, slot and lane state. Safe to repeat; never replaces a slot.')
    .option('--create-table', 'create the outbox table if it does not exist')
    .option('--print-sql', 'print the SQL that a DBA would run, and change nothing')
    .addHelpText(
      'after',
      `${SNAPSHOT_HELP}
${DETECT_HELP}

Examples:
  $ walrelay init --detect                               look for outbox tables, write walrelay.yaml
  $ walrelay init --create-table
  $ walrelay init --print-sql | psql "$DATABASE_URL"     then: walrelay init
  $ walrelay init --snapshot --dry-run                   count the rows that are there, and show the first entry
  $ walrelay init --snapshot && walrelay run             publish them, then relay
  $ walrelay init --snapshot --where 'processed_at IS NULL' --order-by id
  $ walrelay init --snapshot --outbox billing            of several tables, the rows of one`,
    );
  addDetectOptions(command);
  addSnapshotOptions(command);
  addSettingFlags(command, ['connections', 'outbox', 'columns']);
  command.action(() => init(command));
}

async function init(command: Command): Promise<void> {
  const options = command.opts<
    SnapshotFlags & DetectFlags & { createTable?: true; printSql?: true; snapshot?: true }
  >();
  if (options.detect === true) {
    requireSnapshot(options, ['json']);
    return initDetect(command, options);
  }
  requireDetect(options);
  if (options.snapshot !== true) requireSnapshot(options);
  const settings = commandSettings(command);
  if (options.printSql === true) {
    const shape = relayShape(settings);
    const { expected } = shape;
    const newTable = options.createTable === true ? newTableColumns(shape) : null;
    process.stdout.write(setupScript(expected, newTable));
    return;
  }
  const initOptions: InitOptions = {
    createTable: options.createTable === true,
    refuse,
    step: ({ what, isNew, detail }) => {
      // With --json standard output is for the result alone.
      const out = options.json === true ? process.stderr : process.stdout;
      out.write(`${isNew ? 'created' : 'found  '}  ${what.padEnd(12)} ${detail}\n`);
    },
  };
  if (options.snapshot === true) return initSnapshot(settings, options, initOptions);
  await using ground = await Ground.open(settings, holderName());
  await initialize(ground, initOptions);
  process.stdout.write('\nReady. Start the relay with: walrelay run\n');
}

/** Whoever has to mend a database wants to know everything at once. */
function refuse([first, ...others]: readonly WalrelayError[]): void {
  if (first === undefined) return;
  for (const other of others) printError(other);
  throw first;
}
