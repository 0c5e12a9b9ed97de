import { type Lsn, parseLsn } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';

/** Which cluster this is, and which branch of its history. */
export interface SystemIdentity {
  readonly systemId: string;
  readonly timeline: number;
}

type Query = (sql: string) => Promise<Record<string, unknown>[]>;

/** Asks over a replication connection, before it streams. */
export async function readSystemIdentity(query: Query): Promise<SystemIdentity> {
  const row = (await query('IDENTIFY_SYSTEM'))[0];
  if (row === undefined) throw new WalrelayError('PG_PROTOCOL', 'IDENTIFY_SYSTEM gave no answer');
  return { systemId: String(row['systemid']), timeline: Number(row['timeline']) };
}

/** Where the server's timeline left `earlier`, an older timeline of the same cluster. */
export async function readForkLsn(query: Query, current: number, earlier: number): Promise<Lsn | null> {
  if (current <= earlier) return null;
  const row = (await query(`TIMELINE_HISTORY ${current}`))[0];
  const content = row?.['content'];
  const forkLsn = findForkLsn(Buffer.isBuffer(content) ? content.toString('utf8') : String(content), earlier);
  if (forkLsn === null) {
    throw new WalrelayError('TIMELINE_FORK', `timeline ${current} does not descend from timeline ${earlier}`);
  }
  return forkLsn;
}

/** Each line of a history file: a parent timeline, the position where it was left, the reason. */
export function findForkLsn(history: string, timeline: number): Lsn | null {
  for (const line of history.split('\n')) {
    const match = /^\s*(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(line);
    if (match !== null && Number(match[1]) === timeline) return parseLsn(match[2] as string);
  }
  return null;
}
