import { type Lsn, parseLsn } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { ServerFacts } from '../source/catalog.ts';
import type { ReplicationConnection } from '../source/replication-connection.ts';
import { createSlotSql, offersFailover } from '../source/setup-sql.ts';

export interface CreatedSlot {
  readonly lsn: Lsn;
  /** Whether standbys that synchronise slots keep a copy of it. */
  readonly isFailover: boolean;
  /** Why a server that offers failover slots refused this one. */
  readonly refusal: string | null;
}

/** Creates the slot as a failover slot where the server offers that, else as a plain one. */
export async function createSlot(
  postgres: ReplicationConnection,
  slot: string,
  server: Pick<ServerFacts, 'versionNumber' | 'isInRecovery'>,
): Promise<CreatedSlot> {
  const create = async (isFailover: boolean): Promise<Lsn> => {
    const [row] = await postgres.query(createSlotSql({ slot }, { isFailover }));
    return parseLsn(String(row?.['lsn']));
  };
  if (!offersFailover(server)) return { lsn: await create(false), isFailover: false, refusal: null };
  try {
    return { lsn: await create(true), isFailover: true, refusal: null };
  } catch (error) {
    if (!isAboutFailover(error)) throw error;
    return { lsn: await create(false), isFailover: false, refusal: error.message };
  }
}

/**
 * feature_not_supported: a server whose operator keeps slots on one node, or that has become a standby.
 * undefined_function: one that calls itself 17 and has no such argument.
 */
function isAboutFailover(error: unknown): error is WalrelayError {
  if (!(error instanceof WalrelayError)) return false;
  const { cause } = error;
  return cause instanceof Error && 'code' in cause && (cause.code === '0A000' || cause.code === '42883');
}
