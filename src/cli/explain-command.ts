import type { Command } from 'commander';
import { type Explanation, explain } from '../audit/explain.ts';
import { ReadingConnection } from '../audit/reading-connection.ts';
import { RedisByKey } from '../audit/redis-by-key.ts';
import { renderExplanation } from '../audit/render-explanation.ts';
import { clientConfig } from '../config/client-config.ts';
import { selectTables } from '../config/select-outbox.ts';
import { EXIT } from '../core/error-codes.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import { progressOn } from './audit-command.ts';
import { addSettingFlags, commandSettings, holderName } from './command-settings.ts';
import { ProgressLine } from './progress-line.ts';
import { stoppable } from './stoppable.ts';
import { perSecond } from './time-arguments.ts';

export function addExplainCommand(program: Command): void {
  const command = program
    .command('explain')
    .argument('<event-id>', 'the id of the event, as the id column has it')
    .description(
      "One event's life: its row, its commit, its entry, and where each consumer group stands with it.",
    )
    .option('--rate <number>', 'entries read a second', perSecond)
    .option('--outbox <name>', 'only in this outbox, by its name or table, where there are several')
    .option('--json', 'the same as JSON')
    .addHelpText(
      'after',
      `
With a row that has a time, its stream is read from that time on; without one, all streams are.

Example:
  $ walrelay explain 6f1c0d5e-3f0b-4a55-9d0f-0b1c7a9f4a10

Exit codes:
  0   the event has an entry
  71  it has none; why that may be is said
  others as of walrelay run: see docs/errors.md`,
    );
  addSettingFlags(command, ['connections', 'outbox', 'columns']);
  command.action((eventId: string) => run(command, eventId));
}

async function run(command: Command, eventId: string): Promise<void> {
  const options = command.opts<{ rate?: number; outbox?: string; json?: true }>();
  const settings = commandSettings(command);
  const outboxes = selectTables(settings, options.outbox, 'explain looks for the row of the event');
  await stoppable(async (signal) => {
    using redis = await RedisByKey.open(settings);
    await using postgres = await ReadingConnection.open(clientConfig(settings, holderName()));
    const line = new ProgressLine(process.stderr);
    try {
      const found: { name: string; explanation: Explanation }[] = [];
      for (const outbox of outboxes) {
        const looking = explain(eventId, postgres, redis, {
          settings,
          outbox,
          perSecond: options.rate ?? Number.POSITIVE_INFINITY,
          progress: progressOn(line),
          signal,
        });
        // Among several, what is no id here may be one there.
        const explanation = await looking.catch((error: unknown) => {
          if (outboxes.length > 1 && toWalrelayError(error).code === 'PG_REFUSED') return null;
          throw error;
        });
        if (explanation !== null) found.push({ name: outbox.name, explanation });
      }
      line.end();
      if (found.length === 0) {
        throw new WalrelayError(
          'CONFIG_INVALID',
          `${JSON.stringify(eventId)} is an id in none of the outboxes`,
        );
      }
      // Of several outboxes those that know the id; none does: what the first says of it.
      const known = found.filter(({ explanation: { rows, entries } }) => rows.length + entries.length > 0);
      const told = known.length > 0 ? known : found.slice(0, 1);
      process.stdout.write(options.json === true ? jsonText(told) : textOf(told, outboxes.length > 1));
      process.exitCode = known.some(({ explanation }) => explanation.entries.length > 0)
        ? EXIT.ok
        : EXIT.findings;
    } finally {
      line.end();
    }
  });
}

type Told = readonly { readonly name: string; readonly explanation: Explanation }[];

function jsonText(told: Told): string {
  const [first] = told;
  return `${JSON.stringify(told.length === 1 ? first?.explanation : told, null, 2)}\n`;
}

function textOf(told: Told, isNamed: boolean): string {
  return told
    .map(({ name, explanation }) => (isNamed ? `Outbox ${name}\n` : '') + renderExplanation(explanation))
    .join('\n');
}
