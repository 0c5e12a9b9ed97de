import type { Command } from 'commander';
import { RedisByKey } from '../audit/redis-by-key.ts';
import type { Settings } from '../config/settings.ts';
import { EXIT } from '../core/error-codes.ts';
import { count } from '../core/grouped.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { findLetters, type LetterFilter, type LetterGround } from '../dead-letters/find-letters.ts';
import { formatLetterId, type LetterPlace, parseLetterId } from '../dead-letters/letter-id.ts';
import { Redriver, removeLetter } from '../dead-letters/redriver.ts';
import { headJson, letterJson, letterText, LIST_HEAD, listLine } from '../dead-letters/render-letters.ts';
import { DeadLetterReader } from '../sink/dead-letter-reader.ts';
import { addSettingFlags, commandSettings } from './command-settings.ts';
import { stoppable } from './stoppable.ts';
import { span, time } from './time-arguments.ts';

export function addDeadLettersCommand(program: Command): void {
  const group = program
    .command('dead-letters')
    .description('See, bring back and discard events that could not pass (WALRELAY_POISON=dead-letter).');
  addList(group);
  addShow(group);
  addRedrive(group);
  addDiscard(group);
}

const EXIT_CODES = `
Exit codes:
  0   done
  71  no letter fits, or some are left where they were; why is said
  others as of walrelay run: see docs/errors.md
docs/dead-letters.md tells all of it.`;

function addList(group: Command): void {
  const command = group
    .command('list')
    .description('The dead letters, the oldest first.')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `
Examples:
  $ walrelay dead-letters list --last 1h
  $ walrelay dead-letters list --reason EVENT_REFUSED --json
${EXIT_CODES.replace('\n  71  no letter fits, or some are left where they were; why is said', '')}`,
    );
  addFilterOptions(command);
  command.action(async () => {
    const options = command.opts<FilterOptions & { json?: true }>();
    await withRedis(command, async (settings, ground) => {
      const { deadLetterStream: base } = settings;
      let found = 0;
      if (options.json === true) process.stdout.write('[');
      for await (const heads of findLetters(ground, filterOf(options, Date.now()))) {
        for (const head of heads) {
          if (options.json === true)
            process.stdout.write(`${found === 0 ? '' : ','}\n  ${JSON.stringify(headJson(base, head))}`);
          else process.stdout.write(`${found === 0 ? `${LIST_HEAD}\n` : ''}${listLine(base, head)}\n`);
          found += 1;
        }
      }
      if (options.json === true) process.stdout.write(`${found === 0 ? '' : '\n'}]\n`);
      else if (found === 0) process.stdout.write('No dead letters.\n');
    });
  });
}

function addShow(group: Command): void {
  const command = group
    .command('show')
    .argument('<id>', 'as `list` shows it')
    .description('One dead letter: why, where it stood, its columns.')
    .option('--payload', 'with the values of all columns')
    .option('--json', 'as JSON')
    .addHelpText('after', EXIT_CODES);
  addSettingFlags(command, ['connections', 'outbox', 'columns']);
  command.action(async (id: string) => {
    const { payload, json } = command.opts<{ payload?: true; json?: true }>();
    await withRedis(command, async (settings, ground) => {
      const { deadLetterStream: base } = settings;
      const { key, entryId } = parseLetterId(base, id);
      const letter = await new DeadLetterReader(ground.redisOf(key), key).read(entryId);
      if (letter === null) {
        process.stderr.write(`there is no dead letter ${id}\n`);
        process.exitCode = EXIT.findings;
        return;
      }
      const outbox = settings.outboxes.find(({ name }) => name === letter.outbox);
      const options = { outbox, hasValues: payload === true };
      process.stdout.write(
        json === true ? letterJson(base, letter, options) : letterText(base, letter, options),
      );
    });
  });
}

function addRedrive(group: Command): void {
  const command = group
    .command('redrive')
    .argument('[ids...]', 'as `list` shows them')
    .description(
      'Append dead letters to the streams that they are routed to now, and take them out of the dead letters.',
    )
    .option('--all', 'all that fit')
    .option('--to-stream <name>', 'append them to this stream, whatever the routes say')
    .addHelpText(
      'after',
      `
The entries carry the field redriven_at, and neither lsn nor seq: they stand behind events that were committed later.

Examples:
  $ walrelay dead-letters redrive 1763720000000-0
  $ walrelay dead-letters redrive --all --reason EVENT_NO_ROUTE
${EXIT_CODES}`,
    );
  addFilterOptions(command);
  command.action(async (ids: string[]) => {
    const options = command.opts<FilterOptions & { all?: true; toStream?: string }>();
    await withRedis(command, async (settings, ground, signal) => {
      const { deadLetterStream: base } = settings;
      const redriver = new Redriver(settings, ground, options.toStream ?? null, Date.now);
      const tally = new Map<string, number>();
      let others = 0;
      try {
        for await (const place of chosen(ids, options, settings, ground)) {
          signal.throwIfAborted();
          const result = await redriver.redrive(place);
          if (result.kind === 'redriven') tally.set(result.stream, (tally.get(result.stream) ?? 0) + 1);
          else {
            others += 1;
            const why = result.kind === 'gone' ? 'there is no such dead letter' : result.why;
            process.stderr.write(`${formatLetterId(base, place)}: ${why}\n`);
          }
        }
      } finally {
        for (const [stream, events] of tally)
          process.stdout.write(`${String(events).padStart(12)}  ${stream}\n`);
        const total = [...tally.values()].reduce((sum, events) => sum + events, 0);
        process.stdout.write(
          `Redrove ${count(total, 'event')}${others === 0 ? '' : `; ${others} ${others === 1 ? 'is' : 'are'} left`}.\n`,
        );
        process.exitCode = others > 0 || total === 0 ? EXIT.findings : EXIT.ok;
      }
    });
  });
}

function addDiscard(group: Command): void {
  const command = group
    .command('discard')
    .argument('[ids...]', 'as `list` shows them')
    .description('Remove dead letters for good.')
    .option('--all', 'all that fit')
    .option('--yes', 'do it; without this, nothing is changed')
    .addHelpText('after', EXIT_CODES);
  addFilterOptions(command);
  command.action(async (ids: string[]) => {
    const options = command.opts<FilterOptions & { all?: true; yes?: true }>();
    await withRedis(command, async (settings, ground, signal) => {
      let found = 0;
      let missing = 0;
      for await (const place of chosen(ids, options, settings, ground)) {
        signal.throwIfAborted();
        if (options.yes !== true || (await removeLetter(ground, place))) found += 1;
        else {
          missing += 1;
          process.stderr.write(
            `${formatLetterId(settings.deadLetterStream, place)}: there is no such dead letter\n`,
          );
        }
      }
      process.stdout.write(
        options.yes === true
          ? `Discarded ${count(found, 'dead letter')}.\n`
          : `Nothing was changed. To discard ${count(found, 'dead letter')}: the same command with --yes\n`,
      );
      process.exitCode = missing > 0 || found === 0 ? EXIT.findings : EXIT.ok;
    });
  });
}

interface FilterOptions {
  readonly reason?: string;
  readonly outbox?: string;
  readonly from?: bigint;
  readonly to?: bigint;
  readonly last?: bigint;
}

function addFilterOptions(command: Command): void {
  command
    .option('--reason <code>', 'only those with this reason, such as EVENT_REFUSED')
    .option('--outbox <name>', 'only those of this outbox')
    .option('--from <time>', 'written at or after this time: ISO 8601, UTC without an offset', time)
    .option('--to <time>', 'written before this time', time)
    .option('--last <span>', 'written in the last 90s, 15m, 1h, 7d …', span);
  addSettingFlags(command, ['connections', 'outbox', 'columns']);
}

function filterOf({ reason, outbox, from, to, last }: FilterOptions, nowMs: number): LetterFilter {
  if (last !== undefined && (from !== undefined || to !== undefined))
    throw new WalrelayError('CONFIG_INVALID', '--last goes with neither --from nor --to');
  const fromUs = last === undefined ? from : BigInt(nowMs) * 1000n - last;
  return {
    reason,
    outbox,
    fromMs: fromUs === undefined ? undefined : Math.max(0, Number(fromUs / 1000n)),
    toMs: to === undefined ? undefined : Number(to / 1000n) - 1,
  };
}

/** Those that were named, or all that fit. */
async function* chosen(
  ids: readonly string[],
  options: FilterOptions & { readonly all?: true },
  settings: Settings,
  ground: LetterGround,
): AsyncGenerator<LetterPlace> {
  if (ids.length > 0 === (options.all === true)) {
    throw new WalrelayError('CONFIG_INVALID', 'nothing says which dead letters are meant', {
      hint: 'Give their IDs, or --all, which may be narrowed by --reason, --from, --to and --last; not both.',
    });
  }
  if (options.all !== true) {
    const places = ids.map((id) => parseLetterId(settings.deadLetterStream, id));
    yield* places;
    return;
  }
  for await (const heads of findLetters(ground, filterOf(options, Date.now()))) yield* heads;
}

async function withRedis(
  command: Command,
  work: (settings: Settings, ground: LetterGround, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const settings = commandSettings(command, { needsNoDatabase: true });
  await stoppable(async (signal) => {
    using redis = await RedisByKey.open(settings);
    await work(settings, redis.letterGround(), signal);
  });
}
