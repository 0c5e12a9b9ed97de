import { expect } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import { type CliResult, type Env, runCli } from './cli.ts';
import type { Oracle } from './exactness.ts';
import type { Outbox } from './outbox.ts';
import { readAllEntries } from './recovered.ts';
import { expectNoSecrets } from './setup-refusal.ts';

/** Tables as an application has them before there is a relay; with the publication, so that an oracle can watch from the start. */
export async function createOldTable(outbox: Outbox, tables: readonly string[] = ['outbox']): Promise<void> {
  for (const table of tables) {
    await outbox.query(`CREATE TABLE ${table} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), aggregatetype text, aggregateid text,
      type text, payload jsonb, created_at timestamptz NOT NULL DEFAULT clock_timestamp())`);
  }
  await outbox.query(
    `CREATE PUBLICATION walrelay FOR TABLE ${tables.join(', ')} WITH (publish = 'insert', publish_via_partition_root = true)`,
  );
}

/** Rows that are as old as the table. */
export async function insertOld(outbox: Outbox, count: number, table = 'outbox'): Promise<void> {
  await outbox.query(
    `INSERT INTO ${table} (aggregatetype, aggregateid, type, payload)
     SELECT (ARRAY['order', 'customer', 'invoice'])[1 + n % 3], 'old', 't', jsonb_build_object('n', n, 'text', repeat('é', n % 40))
     FROM generate_series(1, $1::int) n`,
    [count],
  );
}

export async function snapshotCli(
  outbox: Outbox,
  args: readonly string[] = [],
  env: Env = {},
): Promise<CliResult> {
  const result = await runCli(['init', '--snapshot', ...args], { ...outbox.env, ...env });
  expectNoSecrets(result, { ...outbox.env, ...env });
  return result;
}

/** A snapshot that must succeed. */
export async function snapshotted(
  outbox: Outbox,
  args: readonly string[] = [],
  env: Env = {},
): Promise<SnapshotResult> {
  const result = await snapshotCli(outbox, ['--json', ...args], env);
  if (result.exitCode !== 0) throw new Error(`init exited with ${result.exitCode}:\n${result.stderr}`);
  return JSON.parse(result.stdout) as SnapshotResult;
}

export interface SnapshotResult {
  readonly start: string;
  readonly rows: number;
  readonly entries: number;
  readonly streamed: number;
  readonly missing: number;
  readonly published: number;
  readonly slotLsn: string;
  readonly tables: readonly {
    readonly outbox: string;
    readonly orderColumn: string;
    readonly rows: number;
    readonly missing: number;
    readonly published: number;
    readonly sample: { readonly stream: string; readonly fields: Readonly<Record<string, string>> } | null;
  }[];
}

/**
 * What an independent decoder saw committed stands in the streams: what was committed before the slot's beginning once, as an
 * entry of the snapshot, in the order of its time and in front of everything relayed (or not at all, if its row was deleted
 * since); what was committed after it once, relayed, at its position. Of several tables, those of the first stand in front.
 * Returns how many of both.
 */
export async function expectSnapshotExact(
  outbox: Outbox,
  oracle: Oracle,
  slotLsn: string,
  tables: readonly string[] = ['outbox'],
): Promise<{ readonly snapshot: number; readonly relayed: number }> {
  const begin = parseLsn(slotLsn);
  const events = new Map((await oracle.read()).map((event) => [event.id, event]));
  const madeUs = new Map<string, bigint>();
  for (const [place, table] of tables.entries()) {
    const rows = await outbox.query<{ id: string; us: string }>(
      `SELECT id::text, (extract(epoch FROM created_at) * 1000000)::bigint::text AS us FROM ${table}`,
    );
    for (const { id, us } of rows) madeUs.set(id, BigInt(us) + (BigInt(place) << 60n));
  }
  const faults: Record<string, string[]> = {};
  const blame = (fault: string, id: string) => (faults[fault] ??= []).push(id);
  const seen = new Set<string>();
  const newest = new Map<string, { us: bigint; lsn: bigint; seq: number }>();
  const counts = { snapshot: 0, relayed: 0 };
  for (const { stream, fields } of await readAllEntries(outbox)) {
    const id = fields['id'] ?? '';
    const event = events.get(id);
    if (seen.has(id)) blame('duplicated', id);
    seen.add(id);
    if (event === undefined) {
      blame('foreign', id);
      continue;
    }
    const { payload, type, aggregate_type: kind, aggregate_id: aggregate } = fields;
    const isSame =
      stream === event.stream &&
      payload === event.payload &&
      type === event.type &&
      kind === event.aggregateType &&
      aggregate === event.aggregateId;
    if (!isSame) blame('altered', id);
    const last = newest.get(stream) ?? { us: 0n, lsn: 0n, seq: 0 };
    const isOld = parseLsn(event.lsn) < begin;
    if (fields['snapshot_at'] === undefined) {
      counts.relayed += 1;
      if (isOld) blame('relayed though old', id);
      if (fields['lsn'] !== event.lsn || fields['seq'] !== event.seq) blame('misplaced', id);
      const lsn = parseLsn(event.lsn);
      const seq = Number(event.seq);
      if (lsn < last.lsn || (lsn === last.lsn && seq <= last.seq)) blame('misordered', id);
      newest.set(stream, { ...last, lsn, seq });
    } else {
      counts.snapshot += 1;
      if (!isOld) blame('of the snapshot though new', id);
      if (last.lsn > 0n) blame('behind what was relayed', id);
      const us = madeUs.get(id) ?? last.us;
      if (us < last.us) blame('misordered in the snapshot', id);
      newest.set(stream, { ...last, us });
    }
  }
  for (const { id, lsn } of events.values()) {
    if (!seen.has(id) && (parseLsn(lsn) >= begin || madeUs.has(id))) blame('missing', id);
  }
  const shown = Object.fromEntries(
    Object.entries(faults).map(([fault, ids]) => [`${ids.length} ${fault}`, ids.slice(0, 3)]),
  );
  expect(shown).toEqual({});
  return counts;
}
