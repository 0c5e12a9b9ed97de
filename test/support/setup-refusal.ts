import { expect } from 'vitest';
import { type CliResult, type Env, runCli } from './cli.ts';
import type { Outbox } from './outbox.ts';
import { waitFor } from './wait-for.ts';

/** How a command said that it can't go on. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly exitCode: number | null;
  readonly result: CliResult;
}

/** A relay that must not start: waits for its end, and proves that nothing was confirmed and no password shown. */
export async function refusedRun(outbox: Outbox, env: Env = {}): Promise<Refusal> {
  const before = await findConfirmedLsn(outbox);
  const daemon = outbox.start(env);
  const result = await daemon.exited;
  const after = await findConfirmedLsn(outbox);
  expect({ confirmed: after, isStreaming: result.stderr.includes('"streaming"') }).toEqual({
    confirmed: before,
    isStreaming: false,
  });
  return refusalOf(result, { ...outbox.env, ...env });
}

/** A command that must refuse. */
export async function refusedCommand(args: readonly string[], env: Env): Promise<Refusal> {
  return refusalOf(await runCli(args, env), env);
}

/** Reads the daemon's last fatal line, or what a command has printed for a person. */
export function refusalOf(result: CliResult, env: Env): Refusal {
  expectNoSecrets(result, env);
  const { exitCode, stderr } = result;
  const fatal = stderr.split('\n').findLast((line) => line.includes('"level":"fatal"'));
  if (fatal !== undefined) {
    const { err } = JSON.parse(fatal) as { err: { code: string; message: string; hint: string } };
    return { code: err.code, message: err.message, hint: err.hint, exitCode, result };
  }
  // The last one ended the command; what stands before it is wrong as well.
  const printed = [...stderr.matchAll(/^walrelay: ([A-Z_]+): ([\s\S]*?)\n {2}fix: (.*)$/gm)].at(-1);
  if (printed === undefined)
    throw new Error(`no refusal; exit code ${exitCode}:\n${result.stdout}\n${stderr}`);
  const [, code = '', message = '', hint = ''] = printed;
  return { code, message, hint, exitCode, result };
}

/** No password of any connection URL, in no encoding, in anything that was written. */
export function expectNoSecrets(result: CliResult, env: Env): void {
  const written = result.stdout + result.stderr;
  for (const url of [env['DATABASE_URL'], env['REDIS_URL']]) {
    if (url === undefined || !URL.canParse(url)) continue;
    const { password } = new URL(url);
    if (password === '') continue;
    for (const secret of [password, decodeURIComponent(password)]) {
      if (written.includes(secret)) throw new Error(`a password was written:\n${written}`);
    }
  }
}

/** Accepts a new epoch, as the hints say. */
export async function acceptEpoch(outbox: Outbox, env: Env = {}): Promise<string> {
  const result = await runCli(['epoch', 'accept', '--yes'], { ...outbox.env, ...env });
  expectNoSecrets(result, { ...outbox.env, ...env });
  if (result.exitCode !== 0) throw new Error(`epoch accept exited with ${result.exitCode}: ${result.stderr}`);
  return result.stdout;
}

/** The relay starts, and one more event arrives and is confirmed. */
export async function expectRelays(outbox: Outbox, env: Env = {}): Promise<void> {
  const daemon = outbox.start(env);
  await daemon.streaming();
  const id = await outbox.insert({ aggregateType: 'probe' });
  await waitFor('the probe to arrive', async () => (await idsOf(outbox, 'probe')).includes(id));
  await outbox.waitUntilConfirmed();
  const result = await daemon.stop();
  expectNoSecrets(result, { ...outbox.env, ...env });
  expect(result.exitCode).toBe(0);
}

/** The events that stand in a stream, by their ids, in stream order. */
export async function idsOf(outbox: Outbox, aggregateType = 'order'): Promise<string[]> {
  const entries = await outbox.redis.xrange(outbox.stream(aggregateType), '-', '+');
  return entries.map(([, fields]) => fields[1] ?? '');
}

/** Null when there is no slot, or one that keeps no such position. */
async function findConfirmedLsn(outbox: Outbox): Promise<string | null> {
  const [row] = await outbox.query<{ lsn: string | null }>(
    'SELECT confirmed_flush_lsn AS lsn FROM pg_replication_slots WHERE slot_name = $1',
    [outbox.env['WALRELAY_SLOT'] ?? outbox.name],
  );
  return row?.lsn ?? null;
}
