import type { Command } from 'commander';
import type { WalrelayError } from '../core/walrelay-error.ts';
import { initialize, newTableColumns } from '../relay/initialize.ts';
import { Ground } from '../relay/ground.ts';
import { relayShape } from '../relay/relay-shape.ts';
import { setupScript } from '../source/setup-sql.ts';
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
      `
Examples:
  $ walrelay init --create-table
  $ walrelay init --print-sql | psql "$DATABASE_URL"     then: walrelay init`,
    );
  addSettingFlags(command, ['connections', 'outbox', 'columns']);
  command.action(() => init(command));
}

async function init(command: Command): Promise<void> {
  const options = command.opts<{ createTable?: true; printSql?: true }>();
  const settings = commandSettings(command);
  if (options.printSql === true) {
    const shape = relayShape(settings);
    const { expected } = shape;
    const newTable = options.createTable === true ? newTableColumns(shape) : null;
    process.stdout.write(setupScript(expected, newTable));
    return;
  }
  await using ground = await Ground.open(settings, holderName());
  await initialize(ground, {
    createTable: options.createTable === true,
    refuse,
    step: ({ what, isNew, detail }) => {
      process.stdout.write(`${isNew ? 'created' : 'found  '}  ${what.padEnd(12)} ${detail}\n`);
    },
  });
  process.stdout.write('\nReady. Start the relay with: walrelay run\n');
}

/** Whoever has to mend a database wants to know everything at once. */
function refuse([first, ...others]: readonly WalrelayError[]): void {
  if (first === undefined) return;
  for (const other of others) printError(other);
  throw first;
}
