import { expect } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import type { Daemon } from './cli.ts';
import type { Outbox } from './outbox.ts';
import { type Refusal, refusalOf } from './setup-refusal.ts';

export interface Halt extends Refusal {
  /**
   * Where the trouble was over, and nothing inserted behind it. Not where it began: other databases write WAL while it
   * lasts, and what was received before it may be confirmed.
   */
  readonly notPast: string;
}

/** Relays an event, does what should stop the relay, inserts another event, and waits for the end. */
export async function haltBy(outbox: Outbox, daemon: Daemon, trouble: string): Promise<Halt> {
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await outbox.query(trouble);
  const notPast = await walEnd(outbox);
  await outbox.query(
    "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ('order', '1', 't', '{}')",
  );
  const result = await daemon.exited;
  return { ...refusalOf(result, outbox.env), notPast };
}

/** Whatever was inserted after the trouble is not confirmed: the slot still holds it. */
export async function expectNotConfirmedPast(outbox: Outbox, lsn: string): Promise<void> {
  expect(parseLsn(await outbox.confirmedLsn())).toBeLessThanOrEqual(parseLsn(lsn));
}

export async function walEnd(outbox: Outbox): Promise<string> {
  const [row] = await outbox.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  return row?.lsn ?? '';
}
