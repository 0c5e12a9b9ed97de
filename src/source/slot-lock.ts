import { quoteLiteral } from './sql.ts';

/**
 * Takes the advisory lock that goes with a slot, if nobody has it. It is held by the replication connection and ends
 * with it. Two relays on one slot thus never race for the fence.
 */
export function slotLockSql(slot: string): string {
  return `SELECT pg_try_advisory_lock(hashtext('walrelay'), hashtext(${quoteLiteral(slot)}))::text AS locked`;
}
