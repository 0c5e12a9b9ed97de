import type { Outbox } from './outbox.ts';
import { waitFor } from './wait-for.ts';

/** With Redis gone no session gets as far as the slot: once it is free, the last status update has been read. */
export async function confirmedAtRest(outbox: Outbox): Promise<string> {
  await waitFor('the slot to be free', async () => {
    const [slot] = await outbox.query<{ active: boolean }>(
      'SELECT active FROM pg_replication_slots WHERE slot_name = $1',
      [outbox.name],
    );
    return slot?.active === false;
  });
  return outbox.confirmedLsn();
}
