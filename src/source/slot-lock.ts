import { quoteLiteral } from './sql.ts';

/**
 * Takes the advisory lock that goes with a slot, if nobody has it. It is held by the replication connection and ends
 * with it. Two relays on one slot thus never race for the fence.
 */
export function slotLockSql(slot: string): string {
  return `SELECT pg_try_advisory_lock(hashtext('walrelay'), hashtext(${quoteLiteral(slot)}))::text AS locked`;
}

/**
 * Ends the connections that hold a slot or its lock, and names them. The same role may; another one needs
 * pg_signal_backend.
 */
export function endHolderSql(slot: string): string {
  const name = quoteLiteral(slot);
  return `
WITH holder AS (
  SELECT active_pid AS pid FROM pg_replication_slots WHERE slot_name = ${name} AND active_pid IS NOT NULL
  UNION
  SELECT l.pid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.classid = (hashtext('walrelay')::bigint & 4294967295)::oid
    AND l.objid = (hashtext(${name})::bigint & 4294967295)::oid
)
SELECT concat_ws(' ', a.application_name, host(a.client_addr), 'pid', h.pid) AS holder, pg_terminate_backend(h.pid)::text AS ended
FROM holder h LEFT JOIN pg_stat_activity a ON a.pid = h.pid
WHERE h.pid <> pg_backend_pid()`;
}
