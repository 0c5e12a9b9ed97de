import type { Command } from 'commander';
import { hasTable } from '../config/outbox-source.ts';
import { selectOutbox } from '../config/select-outbox.ts';
import type { Settings } from '../config/settings.ts';
import { EXIT } from '../core/error-codes.ts';
import { grouped } from '../core/grouped.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { shortened } from '../detect/render-candidates.ts';
import { type SnapshotReport, type TableReport, takeSnapshot } from '../recovery/take-snapshot.ts';
import { Ground } from '../relay/ground.ts';
import type { InitOptions } from '../relay/initialize.ts';
import { SNAPSHOT_AT } from '../sink/recovery-script.ts';
import { holderName } from './command-settings.ts';
import { ProgressLine } from './progress-line.ts';
import { RecoverProgress } from './recover-progress.ts';

/** What only means something with --snapshot. */
export interface SnapshotFlags {
  readonly outbox?: string;
  readonly where?: string;
  readonly since?: string;
  readonly orderBy?: string;
  readonly skipPublished?: true;
  readonly republishTrimmed?: true;
  readonly dryRun?: true;
  readonly json?: true;
}

export function addSnapshotOptions(command: Command): void {
  command
    .optionsGroup('Rows that were there before:')
    .option('--snapshot', 'publish the rows that the tables hold already, then everything from there on')
    .option('--outbox <name>', 'only the rows of this outbox, by its name or table, where there are several')
    .option('--where <sql>', 'of these rows, those that fulfil a condition, as behind WHERE')
    .option('--since <value>', 'of these rows, those from this value of the order column on')
    .option(
      '--order-by <column>',
      'the column in whose order they are published (WALRELAY_POLL_ORDER_COLUMN; of several tables columnTime)',
    )
    .option(
      '--skip-published',
      'go on though streams hold entries already; rows whose ids stand there are skipped',
    )
    .option(
      '--republish-trimmed',
      'after an interruption: go on though streams were trimmed; what they lost may come again',
    )
    .option('--dry-run', 'count the rows and show what the first would become; change nothing')
    .option('--json', 'print the result as JSON');
}

export const SNAPSHOT_HELP = `
A snapshot needs SELECT on the tables. The rows are published first, in order, table by table, each entry marked with ${SNAPSHOT_AT}; producers may
go on writing, what they commit meanwhile comes through the slot. It can be interrupted at any time: run it again, and it goes on
where it stopped. Until it has ended no relay starts. Meanwhile the slot keeps all WAL on the primary, and VACUUM can't remove rows
that die: watch the disk, and raise max_slot_wal_keep_size if it is tight. docs/snapshot.md tells all of it.`;

/** `except`: what another option gives a meaning to. */
export function requireSnapshot(flags: SnapshotFlags, except: readonly (keyof SnapshotFlags)[] = []): void {
  const names = Object.entries(NAMES).filter(
    ([flag]) =>
      flags[flag as keyof SnapshotFlags] !== undefined && !except.includes(flag as keyof SnapshotFlags),
  );
  const [first] = names;
  if (first === undefined) return;
  throw new WalrelayError('CONFIG_INVALID', `${first[1]} means something only with --snapshot`);
}

const NAMES: Readonly<Record<keyof SnapshotFlags, string>> = {
  outbox: '--outbox',
  where: '--where',
  since: '--since',
  orderBy: '--order-by',
  skipPublished: '--skip-published',
  republishTrimmed: '--republish-trimmed',
  dryRun: '--dry-run',
  json: '--json',
};

export async function initSnapshot(
  settings: Settings,
  flags: SnapshotFlags,
  init: InitOptions,
): Promise<void> {
  const isDryRun = flags.dryRun === true;
  const holder = holderName();
  const outbox =
    flags.outbox === undefined
      ? undefined
      : selectOutbox(settings, flags.outbox, 'walrelay init --snapshot --outbox').name;
  await using ground = await Ground.open(settings, holder);
  using progress = new RecoverProgress(process.stderr, new ProgressLine(process.stderr));
  const interrupted = () => {
    const again = isDryRun ? '' : ': run the same command again, it goes on where this one stopped';
    process.stderr.write(`\nwalrelay: interrupted${again}\n`);
    process.exit(EXIT.killed);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const report = await takeSnapshot(ground, {
    isDryRun,
    init,
    selection: { outbox, orderColumn: flags.orderBy, since: flags.since, where: flags.where },
    skipsPublished: flags.skipPublished === true,
    republishesTrimmed: flags.republishTrimmed === true,
    holder,
    step: (text) => progress.step(text),
    count: (what, done, total) => progress.count(what, done, total),
    now: () => new Date(),
  });
  process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  if (flags.json === true) process.stdout.write(`${JSON.stringify({ isDryRun, ...report })}\n`);
  else tellReport(report, settings, isDryRun);
}

function tellReport(report: SnapshotReport, { outboxes }: Settings, isDryRun: boolean): void {
  const { tables, retainedBytes, slotLsn } = report;
  const verb = isDryRun ? 'to publish' : 'published';
  const countOf = ({ missing, published }: Pick<TableReport, 'missing' | 'published'>) =>
    grouped(isDryRun ? missing : published);
  const [only] = tables;
  const order = tables.length === 1 ? ` in the order of ${only?.orderColumn}` : '';
  const lines: [string, string][] = [['rows', `${grouped(report.rows)}${selectionText(report.selection)}`]];
  if (report.entries > 0) lines.push(['entries', `${grouped(report.entries)} stood in the streams before`]);
  if (report.streamed > 0)
    lines.push(['streamed', `${grouped(report.streamed)} events came later: the slot sends them`]);
  lines.push([verb, `${countOf(report)}${order}`]);
  if (tables.length > 1) {
    for (const table of tables)
      lines.push(['', `${countOf(table)} of ${table.outbox}, in the order of ${table.orderColumn}`]);
  }
  if (slotLsn !== null) {
    const keeps =
      retainedBytes === null ? '' : `, keeps ${grouped(Math.round(retainedBytes / 1024 / 1024))} MiB of WAL`;
    lines.push(['slot', `streams from ${slotLsn}${keeps}`]);
  }
  process.stdout.write('\n');
  for (const [name, value] of lines) process.stdout.write(`${name.padEnd(11)} ${value}\n`);
  if (isDryRun) {
    for (const table of tables) tellSample(table, tables.length);
    process.stdout.write('\nNothing was changed. To do it, the same without --dry-run.\n');
    return;
  }
  const others = outboxes
    .filter(hasTable)
    .filter(({ name }) => tables.every(({ outbox }) => outbox !== name));
  if (others.length > 0) {
    const names = others.map(({ name }) => name);
    process.stdout.write(
      `\nNot of this snapshot: the rows of ${names.join(', ')}. To publish those too, before a relay starts: ` +
        `walrelay init --snapshot --outbox ${names[0]}\n`,
    );
  }
  process.stdout.write('\nReady. Start the relay with: walrelay run\n');
}

function tellSample({ outbox, sample }: TableReport, tableCount: number): void {
  if (sample === null) return;
  const whose = tableCount === 1 ? '' : ` of ${outbox}`;
  process.stdout.write(`\nThe first${whose} would be, in ${sample.stream}:\n`);
  const fields = [...Object.entries(sample.fields), [SNAPSHOT_AT, 'when it is appended'] as const];
  for (const [name, value] of fields) process.stdout.write(`  ${name.padEnd(15)} ${shortened(value)}\n`);
}

function selectionText({ since, where }: SnapshotReport['selection']): string {
  const parts = [
    ...(since === null ? [] : [`since ${since}`]),
    ...(where === null ? [] : [`where ${where}`]),
  ];
  return parts.length === 0 ? '' : ` ${parts.join(', ')}`;
}
