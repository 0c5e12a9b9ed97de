import type { ControlPostgres } from '../../../src/bench/control-postgres.ts';

/** Whether somebody streams from the slot: what comes before, a connection or a snapshot, relays nothing yet. */
export async function isSlotStreaming(postgres: ControlPostgres, slot: string): Promise<boolean> {
  const [found] = await postgres.query(
    `SELECT 1 FROM pg_replication_slots JOIN pg_stat_replication ON pid = active_pid
      WHERE slot_name = $1 AND state IN ('catchup', 'streaming')`,
    [slot],
  );
  return found !== undefined;
}
