import { expect } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import { type CliResult, type Env, runCli } from './cli.ts';
import type { Outbox } from './outbox.ts';
import { expectNoSecrets } from './setup-refusal.ts';

/** Rows stay for ever: the table is then the ground truth, which a second slot can't be where slots are lost. */
export async function keepRows(outbox: Outbox): Promise<void> {
  await outbox.query(`CREATE FUNCTION keep_row() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER keep_row BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION keep_row()`);
}

export async function recoverCli(
  outbox: Outbox,
  args: readonly string[] = ['--yes'],
  env: Env = {},
): Promise<CliResult> {
  const result = await runCli(['recover', ...args], { ...outbox.env, ...env });
  expectNoSecrets(result, { ...outbox.env, ...env });
  return result;
}

/** A recovery that must succeed. */
export async function recovered(
  outbox: Outbox,
  args: readonly string[] = [],
  env: Env = {},
): Promise<Report> {
  const result = await recoverCli(outbox, ['--yes', '--json', ...args], env);
  if (result.exitCode !== 0) throw new Error(`recover exited with ${result.exitCode}:\n${result.stderr}`);
  return JSON.parse(result.stdout) as Report;
}

export interface Report {
  readonly reason: string;
  readonly entries: number;
  readonly rows: number;
  readonly missing: number;
  readonly published: number;
  readonly takenAsRelayed: number;
  readonly doubtful: number;
  readonly slotLsn: string;
  readonly epoch: number;
}

export interface AnyEntry {
  readonly stream: string;
  readonly fields: Readonly<Record<string, string>>;
}

export async function readAllEntries(outbox: Outbox): Promise<AnyEntry[]> {
  const entries: AnyEntry[] = [];
  for (const stream of (await outbox.redis.keys(`${outbox.name}.*`)).sort()) {
    for (const [, list] of await outbox.redis.xrange(stream, '-', '+')) {
      const fields: Record<string, string> = {};
      for (let index = 0; index < list.length; index += 2)
        fields[list[index] as string] = list[index + 1] as string;
      entries.push({ stream, fields });
    }
  }
  return entries;
}

/**
 * Every row of the table stands once, in its stream, with its bytes, and nothing else does. Relayed entries stand in commit
 * order, and what was recovered between what was relayed before and what the new slot sends, where its LSN is given.
 * Returns how many were recovered.
 */
export async function expectWhole(
  outbox: Outbox,
  slot = '',
): Promise<{ readonly rows: number; readonly recovered: number }> {
  const rows = await outbox.query<Row>(
    'SELECT id::text, aggregatetype, aggregateid, type, payload::text AS payload FROM outbox',
  );
  const entries = await readAllEntries(outbox);
  // With several recoveries nothing is known of the order among them.
  const slotLsn = slot === '' ? null : parseLsn(slot);
  const byId = new Map(rows.map((row) => [row.id, row]));
  const seen = new Set<string>();
  const faults = { duplicated: [], foreign: [], altered: [], misordered: [], missing: [] } as Record<
    string,
    string[]
  >;
  const newest = new Map<string, { lsn: bigint; seq: number; isRecovered: boolean }>();
  let recoveredCount = 0;
  for (const { stream, fields } of entries) {
    const id = fields['id'] ?? '';
    const row = byId.get(id);
    if (row === undefined) faults['foreign']?.push(id);
    else if (!isSame(outbox, row, stream, fields)) faults['altered']?.push(id);
    if (seen.has(id)) faults['duplicated']?.push(id);
    seen.add(id);
    const before = newest.get(stream) ?? { lsn: 0n, seq: 0, isRecovered: false };
    if (fields['recovered_at'] !== undefined) {
      recoveredCount += 1;
      expect(Object.keys(fields)).toEqual([
        'id',
        'type',
        'aggregate_type',
        'aggregate_id',
        'payload',
        'recovered_at',
      ]);
      // What the slot sends is younger than all that was recovered.
      if (slotLsn !== null && before.lsn >= slotLsn) faults['misordered']?.push(id);
      newest.set(stream, { ...before, isRecovered: true });
    } else {
      const lsn = parseLsn(fields['lsn'] ?? '');
      const seq = Number(fields['seq']);
      if (lsn < before.lsn || (lsn === before.lsn && seq <= before.seq)) faults['misordered']?.push(id);
      if (slotLsn !== null && before.isRecovered && lsn < slotLsn) faults['misordered']?.push(id);
      newest.set(stream, { lsn, seq, isRecovered: before.isRecovered });
    }
  }
  for (const { id } of rows) if (!seen.has(id)) faults['missing']?.push(id);
  const shown = Object.fromEntries(Object.entries(faults).map(([name, ids]) => [name, ids.slice(0, 5)]));
  expect(shown).toEqual({ duplicated: [], foreign: [], altered: [], misordered: [], missing: [] });
  return { rows: rows.length, recovered: recoveredCount };
}

interface Row {
  readonly id: string;
  readonly aggregatetype: string;
  readonly aggregateid: string;
  readonly type: string;
  readonly payload: string;
}

function isSame(outbox: Outbox, row: Row, stream: string, fields: Readonly<Record<string, string>>): boolean {
  return (
    stream === outbox.stream(row.aggregatetype) &&
    fields['aggregate_type'] === row.aggregatetype &&
    fields['aggregate_id'] === row.aggregateid &&
    fields['type'] === row.type &&
    fields['payload'] === row.payload
  );
}

/** Relays what there is to its confirmation, and stops. */
export async function relayAll(outbox: Outbox, env: Env = {}): Promise<void> {
  const daemon = outbox.start(env);
  await daemon.streaming();
  await outbox.waitUntilConfirmed();
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
}

export async function dropSlot(outbox: Outbox): Promise<void> {
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
}

/** Writes WAL until Postgres invalidates the slot (max_slot_wal_keep_size). */
export async function loseSlot(outbox: Outbox): Promise<void> {
  for (let round = 0; round < 50; round += 1) {
    const [slot] = await outbox.query<{ status: string }>(
      'SELECT wal_status AS status FROM pg_replication_slots WHERE slot_name = $1',
      [outbox.name],
    );
    if (slot?.status === 'lost') return;
    await outbox.query('SELECT pg_switch_wal()');
    await outbox.query('CHECKPOINT');
  }
  throw new Error('the slot was not invalidated');
}
