import type { Outbox } from './outbox.ts';
import { waitFor } from './wait-for.ts';

/** Waits until Postgres has given the session up, by itself or at wal_sender_timeout. */
export async function untilSlotIsFree(outbox: Outbox, timeoutMs?: number): Promise<void> {
  await waitFor(
    'Postgres to free the slot',
    async () => {
      const [slot] = await outbox.query<{ active: boolean }>(
        'SELECT active FROM pg_replication_slots WHERE slot_name = $1',
        [outbox.name],
      );
      return slot?.active === false;
    },
    timeoutMs,
  );
}

/** With Redis gone no session gets as far as the slot: once it is free, the last status update has been read. */
export async function confirmedAtRest(outbox: Outbox): Promise<string> {
  await untilSlotIsFree(outbox);
  return outbox.confirmedLsn();
}
