import type { AuditReport } from '../../src/audit/audit-report.ts';
import { type Env, runCli } from './cli.ts';
import type { Outbox } from './outbox.ts';
import { waitFor } from './wait-for.ts';

export interface AuditRun {
  readonly exitCode: number | null;
  readonly report: AuditReport;
  readonly stderr: string;
}

/** Runs `walrelay audit --json` as an operator would. */
export async function audit(outbox: Outbox, args: readonly string[] = [], env: Env = {}): Promise<AuditRun> {
  const { exitCode, stdout, stderr } = await runCli(['audit', '--json', ...args], { ...outbox.env, ...env });
  if (stdout === '') throw new Error(`the audit printed nothing and exited with ${exitCode}: ${stderr}`);
  return { exitCode, stderr, report: JSON.parse(stdout) as AuditReport };
}

/**
 * Waits until a row that is inserted now is judged though its stream has lost entries: an audit gives commit times a
 * second of slack.
 */
export async function passSlack(outbox: Outbox, stream = outbox.stream()): Promise<void> {
  const [first] = await outbox.redis.xrange(stream, '-', '+', 'COUNT', 1);
  const committedAt = first?.[1][first[1].indexOf('committed_at') + 1] ?? '';
  await waitFor('a second to pass by the clock of Postgres', async () => {
    const [row] = await outbox.query<{ isPast: boolean }>(
      `SELECT clock_timestamp() > $1::timestamptz + interval '1.1 s' AS "isPast"`,
      [committedAt],
    );
    return row?.isPast === true;
  });
}

/** The entry of an event. */
export async function entryOf(outbox: Outbox, eventId: string, stream = outbox.stream()): Promise<string> {
  for (const [entryId, fields] of await outbox.redis.xrange(stream, '-', '+')) {
    if (fields[fields.indexOf('id') + 1] === eventId) return entryId;
  }
  throw new Error(`no entry of ${eventId} in ${stream}`);
}
