import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { EXIT } from '../core/error-codes.ts';
import { toWalrelayError } from '../core/walrelay-error.ts';
import { addAuditCommand } from './audit-command.ts';
import { addBenchCommand } from './bench-command.ts';
import { addDeadLettersCommand } from './dead-letters-command.ts';
import { addEpochCommand } from './epoch-command.ts';
import { addExplainCommand } from './explain-command.ts';
import { printError } from './print-error.ts';
import { addInitCommand } from './init-command.ts';
import { addPollCommand } from './poll-command.ts';
import { addRecoverCommand } from './recover-command.ts';
import { addReplayCommand } from './replay-command.ts';
import { addRunCommand } from './run-command.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('walrelay')
  .description(
    'Relays a Postgres outbox to Redis Streams: exactly once, in commit order, within milliseconds.',
  )
  .version(version)
  .showHelpAfterError('(walrelay <command> --help tells more)')
  .exitOverride((error) => process.exit(error.exitCode === 0 ? EXIT.ok : EXIT.config))
  .addHelpText(
    'after',
    `
Examples:
  $ walrelay init --create-table      set up table, publication, slot and lane state
  $ walrelay run                      relay until told to stop
  $ walrelay poll                     relay by polling, where there can be no replication slot
  $ walrelay epoch show               what Redis remembers, and whether it fits Postgres
  $ walrelay recover                  after a lost slot: a new one, and what the streams lack
  $ walrelay audit --last 1h          compare the table with the streams
  $ walrelay dead-letters list        events that could not pass
  $ walrelay bench --quick            measure relays on your own servers

Exit codes:
  0 stopped as asked        65 Postgres needs a fix       69 a server can't be reached
  66 Redis needs a fix      67 history does not fit       70 a bug: nothing was confirmed
  68 an event can't pass    74 not drained in time        75 another relay took over
  71 audit found something  78 configuration          130 stopped hard by a second signal
docs/errors.md explains each error by its code.`,
  );

addRunCommand(program, version);
addInitCommand(program);
addPollCommand(program, version);
addEpochCommand(program);
addRecoverCommand(program);
addAuditCommand(program);
addReplayCommand(program);
addExplainCommand(program);
addDeadLettersCommand(program);
addBenchCommand(program, version);

try {
  await program.parseAsync();
} catch (thrown) {
  const error = toWalrelayError(thrown);
  printError(error);
  process.exitCode = error.exitCode;
}
