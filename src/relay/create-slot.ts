import { type Lsn, parseLsn } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { ServerFacts } from '../source/catalog.ts';
import type { ReplicationConnection } from '../source/replication-connection.ts';
import { createExportedSlotSql, createSlotSql, offersFailover } from '../source/setup-sql.ts';

export interface CreatedSlot {
  readonly lsn: Lsn;
  /** Whether standbys that synchronise slots keep a copy of it. */
  readonly isFailover: boolean;
  /** Why a server that offers failover slots refused this one. */
  readonly refusal: string | null;
}

type Server = Pick<ServerFacts, 'versionNumber' | 'isInRecovery'>;

/** Creates the slot as a failover slot where the server offers that, else as a plain one. */
export function createSlot(
  postgres: ReplicationConnection,
  slot: string,
  server: Server,
): Promise<CreatedSlot> {
  return preferFailover(server, async (isFailover) => {
    const [row] = await postgres.query(createSlotSql({ slot }, { isFailover }));
    return { lsn: parseLsn(String(row?.['lsn'])) };
  });
}

/** The same, with the snapshot of the slot's consistent point: it lives until the connection runs its next command. */
export async function createExportedSlot(
  postgres: ReplicationConnection,
  slot: string,
  server: Server,
  /** A temporary one goes with the connection, and never to a standby. */
  { isTemporary = false } = {},
): Promise<CreatedSlot & { readonly snapshot: string }> {
  const { versionNumber } = server;
  const create = async (isFailover: boolean) => {
    const sql = createExportedSlotSql({ slot }, { versionNumber, isFailover, isTemporary });
    const [row] = await postgres.query(sql);
    const snapshot = row?.['snapshot_name'];
    if (typeof snapshot !== 'string')
      throw new WalrelayError('PG_PROTOCOL', 'the new slot came without a snapshot');
    return { lsn: parseLsn(String(row?.['consistent_point'])), snapshot };
  };
  if (isTemporary) return { ...(await create(false)), isFailover: false, refusal: null };
  return preferFailover(server, create);
}

export async function preferFailover<Made extends object>(
  server: Server,
  create: (isFailover: boolean) => Promise<Made>,
): Promise<Made & { readonly isFailover: boolean; readonly refusal: string | null }> {
  if (!offersFailover(server)) return { ...(await create(false)), isFailover: false, refusal: null };
  try {
    return { ...(await create(true)), isFailover: true, refusal: null };
  } catch (error) {
    if (!isAboutFailover(error)) throw error;
    return { ...(await create(false)), isFailover: false, refusal: error.message };
  }
}

/**
 * feature_not_supported: a server whose operator keeps slots on one node, or that has become a standby.
 * undefined_function, syntax_error: one that calls itself 17 and has no such argument.
 */
const ABOUT_FAILOVER: readonly unknown[] = ['0A000', '42883', '42601'];

function isAboutFailover(error: unknown): error is WalrelayError {
  if (!(error instanceof WalrelayError)) return false;
  const { cause } = error;
  return cause instanceof Error && 'code' in cause && ABOUT_FAILOVER.includes(cause.code);
}
