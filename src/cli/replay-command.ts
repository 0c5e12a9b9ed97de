import type { Command } from 'commander';
import { ReadingConnection } from '../audit/reading-connection.ts';
import { RedisByKey } from '../audit/redis-by-key.ts';
import { planReplay, type ReplayPlan, replay } from '../audit/replay.ts';
import { clientConfig } from '../config/client-config.ts';
import { requireTable } from '../config/outbox-source.ts';
import { selectOutbox } from '../config/select-outbox.ts';
import { EXIT } from '../core/error-codes.ts';
import { count, grouped } from '../core/grouped.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { addRangeOptions } from './audit-command.ts';
import { addSettingFlags, commandSettings, holderName } from './command-settings.ts';
import { ids } from './bench-arguments.ts';
import { ProgressLine } from './progress-line.ts';
import { stoppable } from './stoppable.ts';
import { howMany } from './time-arguments.ts';
import { type RangeOptions, timeRange } from './time-range.ts';

export function addReplayCommand(program: Command): void {
  const command = program
    .command('replay')
    .description('Append events again, from the table, to their stream or to another one.')
    .option('--id <ids>', 'events by id, with commas between', ids)
    .option('--aggregate-type <value>', 'events of this kind of aggregate')
    .option('--aggregate-id <value>', 'events of this aggregate')
    .option('--to-stream <name>', 'append all of them to this stream')
    .option('--limit <number>', 'at most so many, the oldest first', howMany, 10_000)
    .option('--dry-run', 'only say what would be appended')
    .option('--yes', 'do it; without this, nothing is changed')
    .option('--outbox <name>', 'of this outbox, by its name or table, where there are several')
    .option('--json', 'what was done as JSON')
    .addHelpText(
      'after',
      `
Each copy carries the field replayed_at, and neither lsn nor seq; an audit does not count it as a double. Consumers that
remember the id of what they handled skip it. Rows are appended in the order of their inserts; a row that was deleted can't be
replayed.

Examples:
  $ walrelay replay --id 6f1c0d5e-3f0b-4a55-9d0f-0b1c7a9f4a10 --yes
  $ walrelay replay --aggregate-type order --aggregate-id O-1 --to-stream orders.debug --yes
  $ walrelay replay --from 2026-11-20T08:00 --to 2026-11-20T09:00 --rate 500          what would be appended

Exit codes:
  0   appended, or told what would be
  71  no event fits, or an id was not found
  others as of walrelay run: see docs/errors.md`,
    );
  addRangeOptions(command);
  addSettingFlags(command, ['connections', 'outbox', 'columns', 'limits']);
  command.action(() => run(command));
}

interface ReplayOptions extends RangeOptions {
  readonly id?: readonly string[];
  readonly aggregateType?: string;
  readonly aggregateId?: string;
  readonly toStream?: string;
  readonly limit: number;
  readonly dryRun?: true;
  readonly yes?: true;
  readonly json?: true;
  readonly rate?: number;
  readonly outbox?: string;
}

async function run(command: Command): Promise<void> {
  const options = command.opts<ReplayOptions>();
  const settings = commandSettings(command);
  const outbox = requireTable(
    selectOutbox(settings, options.outbox, 'walrelay replay'),
    'a replay reads events from the table',
  );
  const range = timeRange(options, [outbox], Date.now());
  const isNarrowed = [options.id, options.aggregateType, options.aggregateId, range.fromUs, range.toUs].some(
    (value) => value !== undefined && value !== null,
  );
  if (!isNarrowed) {
    throw new WalrelayError('CONFIG_INVALID', 'nothing says which events to replay', {
      hint: 'Give --id, --aggregate-type, --aggregate-id, --from, --to or --last.',
    });
  }
  const toStream = options.toStream ?? null;
  await stoppable(async (signal) => {
    using redis = await RedisByKey.open(settings);
    await using postgres = await ReadingConnection.open(clientConfig(settings, holderName()));
    const line = new ProgressLine(process.stderr);
    const plan = await planReplay(
      postgres,
      { outbox, reserved: settings },
      {
        ids: options.id ?? [],
        aggregateType: options.aggregateType ?? null,
        aggregateId: options.aggregateId ?? null,
        range,
        limit: options.limit,
      },
      toStream,
    );
    const isDone = options.yes === true && options.dryRun !== true;
    let appended = 0;
    try {
      if (isDone) {
        await replay(
          plan,
          { postgres, redis },
          {
            settings,
            toStream,
            perSecond: options.rate ?? Number.POSITIVE_INFINITY,
            signal,
            published: (events) => {
              appended += events;
              line.show('replaying', `${grouped(appended)} events`, appended / plan.events.length);
            },
          },
        );
      }
    } finally {
      line.end();
    }
    process.stdout.write(
      options.json === true ? jsonText(plan, isDone, appended) : planText(plan, isDone, appended),
    );
    process.exitCode = plan.events.length === 0 || plan.unknownIds.length > 0 ? EXIT.findings : EXIT.ok;
  });
}

function jsonText(plan: ReplayPlan, isDone: boolean, appended: number): string {
  const { events, streams, unroutable, unknownIds, isCut } = plan;
  return `${JSON.stringify(
    {
      events: events.length,
      streams: Object.fromEntries(streams),
      unroutable,
      unknownIds,
      isCut,
      isDone,
      appended,
    },
    null,
    2,
  )}\n`;
}

function planText(plan: ReplayPlan, isDone: boolean, appended: number): string {
  const lines = [...plan.streams].map(([stream, events]) => `${grouped(events).padStart(12)}  ${stream}`);
  if (plan.isCut) lines.push('There are more: --limit says how many at most.');
  if (plan.unroutable > 0)
    lines.push(`${count(plan.unroutable, 'event')} without an id or a stream name: left out`);
  for (const id of plan.unknownIds.slice(0, 20)) lines.push(`no row has the id ${id}`);
  if (plan.events.length === 0) lines.push('No event fits.');
  else if (isDone) lines.push(`Appended ${count(appended, 'event')}, marked with replayed_at.`);
  else
    lines.push(
      `Nothing was changed. To append ${count(plan.events.length, 'event')}: the same command with --yes`,
    );
  return `${lines.join('\n')}\n`;
}
