import { formatLsn, type Lsn } from '../core/lsn.ts';
import { createExportedSlot } from '../relay/create-slot.ts';
import type { Catalog } from '../source/catalog.ts';
import type { ReplicationConnection } from '../source/replication-connection.ts';
import { NO_LIMITS_SQL } from '../source/snapshot-reader.ts';
import { quoteLiteral } from '../source/sql.ts';

export interface ExportedSlot {
  /** Its consistent point: every transaction that the snapshot sees was committed before, every other one behind it. */
  readonly slotLsn: Lsn;
  /** Lives until the connection that made the slot runs its next command. */
  readonly snapshot: string;
}

/** Makes the slot, in place of the one that is there, and exports its snapshot. */
export async function replaceSlot(
  postgres: ReplicationConnection,
  slot: string,
  catalog: Catalog,
  step: (text: string) => void,
): Promise<ExportedSlot> {
  await postgres.query(NO_LIMITS_SQL);
  if (catalog.slot !== null) {
    await postgres.query(`SELECT pg_drop_replication_slot(${quoteLiteral(slot)})`);
    step(`the old slot ${slot} is dropped`);
  }
  const { lsn, snapshot, refusal } = await noteWaiting(
    step,
    createExportedSlot(postgres, slot, catalog.server),
  );
  step(`a new slot streams from ${formatLsn(lsn)}`);
  if (refusal !== null) step(`it is lost when a standby is promoted, since ${refusal}`);
  return { slotLsn: lsn, snapshot };
}

/** Exports a snapshot whose place in the WAL is known, by a slot that goes with its connection. */
export async function exportSnapshot(
  postgres: ReplicationConnection,
  temporarySlot: string,
  { server }: Catalog,
  step: (text: string) => void,
): Promise<ExportedSlot> {
  await postgres.query(NO_LIMITS_SQL);
  const { lsn, snapshot } = await noteWaiting(
    step,
    createExportedSlot(postgres, temporarySlot, server, { isTemporary: true }),
  );
  return { slotLsn: lsn, snapshot };
}

async function noteWaiting<T>(step: (text: string) => void, making: Promise<T>): Promise<T> {
  const waiting = setInterval(() => {
    step(
      'waiting for transactions to end that are open: a slot begins after them (pg_stat_activity shows them)',
    );
  }, WAITING_NOTE_MS);
  try {
    return await making;
  } finally {
    clearInterval(waiting);
  }
}

const WAITING_NOTE_MS = 10_000;
