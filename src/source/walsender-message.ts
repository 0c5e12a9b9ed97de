/**
 * What a walsender sends inside of CopyData: a kind, then numbers of eight bytes.
 * https://www.postgresql.org/docs/current/protocol-replication.html#PROTOCOL-REPLICATION-XLOGDATA
 */
export const XLOG_DATA = 0x77; // 'w'
/** Kind, start and end of the WAL, the server's clock; behind it stands what the output plugin wrote. */
export const XLOG_DATA_HEADER_BYTES = 25;
export const KEEPALIVE = 0x6b; // 'k'
/** All of it: kind, end of the WAL, the server's clock, whether an answer is asked for. */
export const KEEPALIVE_BYTES = 18;
