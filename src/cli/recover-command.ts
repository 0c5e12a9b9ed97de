import type { Command } from 'commander';
import { EXIT } from '../core/error-codes.ts';
import { grouped } from '../core/grouped.ts';
import { recover, type RecoveryReport } from '../recovery/recover.ts';
import { planRecovery, type RecoveryPlan } from '../recovery/recovery-plan.ts';
import { Ground } from '../relay/ground.ts';
import { addSettingFlags, commandSettings, holderName } from './command-settings.ts';
import { ProgressLine } from './progress-line.ts';
import { RecoverProgress } from './recover-progress.ts';

export function addRecoverCommand(program: Command): void {
  const command = program
    .command('recover')
    .description('After a slot was lost: make a new one, and publish from the table what the streams lack.')
    .option('--yes', 'do it; without this, nothing is changed')
    .option('--dry-run', 'read streams and table and count what is missing; change nothing')
    .option(
      '--since <value>',
      'publish rows from here on in the order column, whatever was trimmed; none before',
    )
    .option(
      '--order-by <column>',
      'the column in whose order rows are published (WALRELAY_POLL_ORDER_COLUMN)',
    )
    .option('--json', 'print the result as JSON')
    .addHelpText(
      'after',
      `
It needs SELECT on the table. Stop the relay first; producers may go on writing. It can be interrupted at any time: run
it again. Rows that were deleted from the table before they were relayed are lost, and nobody can count them.

Examples:
  $ walrelay recover                                  what is wrong, and what this would do
  $ walrelay recover --dry-run                        count what is missing
  $ walrelay recover --yes && walrelay run
  $ walrelay recover --yes --since '2026-11-21 08:00+00'

Exit codes:
  0 recovered: start the relay         65 Postgres needs a fix, or the slot is healthy
  66 Redis needs a fix                 67 something is left to do or to decide
  68 an event can't pass               69 a server can't be reached, or a relay runs
  130 interrupted: run it again
docs/recover.md tells all of it.`,
    );
  addSettingFlags(command, ['connections', 'outbox', 'columns']);
  command.action(() => runRecover(command));
}

interface RecoverFlags {
  readonly yes?: true;
  readonly dryRun?: true;
  readonly since?: string;
  readonly orderBy?: string;
  readonly json?: true;
}

async function runRecover(command: Command): Promise<void> {
  const flags = command.opts<RecoverFlags>();
  const settings = commandSettings(command);
  const holder = holderName();
  await using ground = await Ground.open(settings, holder);
  const plan = await planRecovery(ground);
  if (flags.json !== true) for (const finding of plan.findings) process.stdout.write(`${finding}\n`);
  const isDryRun = flags.dryRun === true;
  if (!isDryRun && flags.yes !== true) {
    tellProposal(plan, flags);
    process.exitCode = EXIT.history;
    return;
  }
  using progress = new RecoverProgress(process.stderr, new ProgressLine(process.stderr));
  const interrupted = () => {
    const again = isDryRun ? '' : ': run `walrelay recover --yes` again, it finishes what was begun';
    process.stderr.write(`\nwalrelay: interrupted${again}\n`);
    process.exit(EXIT.killed);
  };
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const report = await recover(ground, plan, {
    isDryRun,
    orderColumn: flags.orderBy ?? settings.pollOrderColumn,
    since: flags.since ?? null,
    holder,
    step: (text) => progress.step(text),
    count: (what, done, total) => progress.count(what, done, total),
    now: () => new Date(),
  });
  process.off('SIGINT', interrupted).off('SIGTERM', interrupted);
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ reason: plan.reason, isDryRun, ...report })}\n`);
  } else {
    tellReport(report, isDryRun);
  }
  if (isDryRun) process.exitCode = EXIT.history;
}

function tellProposal(plan: RecoveryPlan, flags: RecoverFlags): void {
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ reason: plan.reason, findings: plan.findings })}\n`);
    return;
  }
  process.stdout.write(`
A recovery would:
  - keep every relay from starting until it has ended
  - drop the slot, where there is one, and make a new one
  - publish each row of the table that no stream holds, up to where the new slot begins, marked as recovered
It can't publish rows that were deleted from the table before they were relayed, and can't count them.

Nothing was changed. To count first: walrelay recover --dry-run. To do it: walrelay recover --yes
`);
}

function tellReport(report: RecoveryReport, isDryRun: boolean): void {
  const rows: [string, string][] = [
    ['entries', `${grouped(report.entries)} in ${grouped(report.streams)} streams`],
    ['rows', grouped(report.rows)],
    [isDryRun ? 'missing' : 'published', grouped(isDryRun ? report.missing : report.published)],
    [
      'older',
      `${grouped(report.takenAsRelayed)} in no stream, and older than all that their streams hold: taken as relayed`,
    ],
  ];
  if (report.doubtful > 0) {
    rows.push([
      'in doubt',
      `${grouped(report.doubtful)} in no stream, and nothing tells whether they were relayed`,
    ]);
  }
  if (report.slotLsn !== null) rows.push(['slot', `streams from ${report.slotLsn}`]);
  if (report.epoch !== null) rows.push(['epoch', String(report.epoch)]);
  process.stdout.write('\n');
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(10)} ${value}\n`);
  if (!isDryRun) {
    process.stdout.write('\nRecovered. Start the relay with: walrelay run\n');
  } else if (report.doubtful > 0) {
    process.stdout.write(
      '\nNothing was changed. To decide: walrelay recover --yes --since TIME publishes rows from then on, and none before.' +
        `${report.newestCommitted === null ? '' : `\nThe newest entry was committed at ${report.newestCommitted}.`}\n`,
    );
  } else {
    process.stdout.write('\nNothing was changed. To do it: walrelay recover --yes\n');
  }
}
