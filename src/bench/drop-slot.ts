import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlPostgres } from './control-postgres.ts';

const RELEASE_TIMEOUT_MS = 10_000;
const POLL_MS = 50;

/** Drops a slot of the bench, if it is there; ends the walsender that still reads it. Only ever call it with our names. */
export async function dropSlot(postgres: ControlPostgres, slot: string): Promise<boolean> {
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const [found] = await postgres.query<{ activePid: number | null }>(
      'SELECT active_pid AS "activePid" FROM pg_replication_slots WHERE slot_name = $1 AND database = current_database()',
      [slot],
    );
    if (found === undefined) return false;
    if (found.activePid === null) {
      // Somebody may have taken it since we looked: then the next look ends that one.
      if (await postgres.attempt(`SELECT pg_drop_replication_slot('${slot}')`)) return true;
    } else {
      await postgres.query('SELECT pg_terminate_backend($1)', [found.activePid]);
    }
    if (waitedMs >= RELEASE_TIMEOUT_MS) throw new Error(`the slot ${slot} can't be dropped; drop it by hand`);
    await sleep(POLL_MS);
  }
}
