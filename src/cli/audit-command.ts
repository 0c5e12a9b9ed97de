import type { Command } from 'commander';
import type { AuditProgress } from '../audit/audit-progress.ts';
import { type AuditReport, isMended } from '../audit/audit-report.ts';
import { ReadingConnection } from '../audit/reading-connection.ts';
import { RedisByKey } from '../audit/redis-by-key.ts';
import { renderReport } from '../audit/render-report.ts';
import { repair } from '../audit/repair.ts';
import { type Audit, runAudit } from '../audit/run-audit.ts';
import { clientConfig } from '../config/client-config.ts';
import { hasTable } from '../config/outbox-source.ts';
import { selectTables } from '../config/select-outbox.ts';
import { EXIT } from '../core/error-codes.ts';
import { grouped } from '../core/grouped.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { addSettingFlags, commandSettings, holderName } from './command-settings.ts';
import { ProgressLine } from './progress-line.ts';
import { stoppable } from './stoppable.ts';
import { howMany, perSecond, span, time, waitSeconds } from './time-arguments.ts';
import { type RangeOptions, timeRange } from './time-range.ts';

export function addAuditCommand(program: Command): void {
  const command = program
    .command('audit')
    .description(
      "Compare the table's rows with the streams' entries: missing, duplicated, misordered, altered.",
    )
    .option(
      '--complete',
      'judge also what seems trimmed or older than the streams: every row should have its entry',
    )
    .option(
      '--repair',
      'append what is missing, marked with recovered_at; only says what it would do without --yes',
    )
    .option('--yes', 'with --repair: do it')
    .option('--wait <seconds>', 'how long to wait for the relay to catch up first', waitSeconds, 10)
    .option('--examples <number>', 'examples of each kind', howMany, 10)
    .option('--temp-dir <path>', "where ids and digests are kept while it runs (default: the system's)")
    .option('--outbox <name>', 'only this outbox, by its name or table, where there are several')
    .option('--json', 'the report as JSON; a list of reports where there are several outboxes')
    .addHelpText(
      'after',
      `
Reads the table in short, read-only transactions and the streams with XRANGE, with bounded memory. The role of DATABASE_URL
needs SELECT on the table. docs/audit.md says what each finding means and why what is in flight is never called missing.

Examples:
  $ walrelay audit --last 1h
  $ walrelay audit --from 2026-11-20 --to 2026-11-21 --rate 20000 --json
  $ walrelay audit --last 1d --repair             what would be appended
  $ walrelay audit --last 1d --repair --yes       append it

Exit codes:
  0   clean, or everything that was missing was recovered
  71  something is missing, duplicated, misordered, altered or foreign
  others as of walrelay run: see docs/errors.md`,
    );
  addRangeOptions(command);
  addSettingFlags(command, ['connections', 'outbox', 'columns']);
  command.action(() => audit(command));
}

/** The options that say which rows are meant. */
export function addRangeOptions(command: Command): void {
  command
    .option('--from <time>', 'rows inserted at or after this time: ISO 8601, UTC without an offset', time)
    .option('--to <time>', 'rows inserted before this time', time)
    .option('--last <span>', 'rows inserted in the last 90s, 15m, 1h, 7d …', span)
    .option('--rate <number>', 'rows, and entries, a second; without it as fast as it goes', perSecond);
}

interface AuditCommandOptions extends RangeOptions {
  readonly complete?: true;
  readonly repair?: true;
  readonly yes?: true;
  readonly wait: number;
  readonly examples: number;
  readonly tempDir?: string;
  readonly outbox?: string;
  readonly json?: true;
  readonly rate?: number;
}

async function audit(command: Command): Promise<void> {
  const options = command.opts<AuditCommandOptions>();
  const settings = commandSettings(command);
  if (options.yes === true && options.repair !== true) {
    throw new WalrelayError('CONFIG_INVALID', '--yes goes with --repair');
  }
  const outboxes = selectTables(settings, options.outbox, 'an audit compares a table with the streams');
  for (const { name } of settings.outboxes.filter(
    (outbox) => options.outbox === undefined && !hasTable(outbox),
  ))
    process.stderr.write(`not audited: ${name} has no table (docs/messages.md)\n`);
  const range = timeRange(options, outboxes, Date.now());
  await stoppable(async (signal) => {
    using redis = await RedisByKey.open(settings);
    await using postgres = await ReadingConnection.open(clientConfig(settings, holderName()));
    const line = new ProgressLine(process.stderr);
    const work = {
      settings,
      waitMs: options.wait * 1000,
      perSecond: options.rate ?? Number.POSITIVE_INFINITY,
      progress: progressOn(line),
      signal,
    };
    try {
      const reports: AuditReport[] = [];
      // One after the other, each with its repair: a repair is refused when another one has been at work since the audit.
      for (const outbox of outboxes) {
        const found = await runAudit(postgres, redis, {
          ...work,
          outbox,
          range,
          isComplete: options.complete === true,
          examplesMax: options.examples,
          tempDir: options.tempDir,
        });
        reports.push(await repaired(found, options, () => repair(found, postgres, redis, repairWork(work))));
      }
      line.end();
      const [only] = reports;
      process.stdout.write(
        options.json === true
          ? `${JSON.stringify(reports.length === 1 ? only : reports, null, 2)}\n`
          : reports.map(renderReport).join('\n'),
      );
      process.exitCode = reports.every(isMended) ? EXIT.ok : EXIT.findings;
    } finally {
      line.end();
    }
  });
}

/** The slot moves its horizon every fifteen seconds or so. */
function repairWork<T extends { readonly waitMs: number }>(work: T): T {
  return { ...work, waitMs: work.waitMs * 6 };
}

async function repaired(
  { report }: Audit,
  options: AuditCommandOptions,
  doIt: () => Promise<NonNullable<AuditReport['repair']>>,
): Promise<AuditReport> {
  const { missing } = report.findings;
  if (options.repair !== true || missing === 0) return report;
  return {
    ...report,
    repair: options.yes === true ? await doIt() : { isDone: false, recovered: 0, left: missing },
  };
}

export function progressOn(line: ProgressLine): AuditProgress {
  const startedMs = performance.now();
  return {
    step: ({ phase, rows, entries, done }) => {
      const seconds = Math.max(0.001, (performance.now() - startedMs) / 1000);
      const rate = Math.round((rows + entries) / seconds);
      line.show(phase, `${grouped(rows)} rows, ${grouped(entries)} entries, ${grouped(rate)}/s`, done);
    },
  };
}
