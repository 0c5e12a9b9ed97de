import type { Settings } from '../config/settings.ts';
import { formatLsn, type Lsn, parseLsn } from '../core/lsn.ts';
import { formatPosition } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { LaneState } from '../sink/lane-state.ts';
import { quoteLiteral } from '../source/sql.ts';
import type { ReadingConnection } from './reading-connection.ts';

/** What Postgres says about itself and the slot, at one moment. */
export interface ServerState {
  readonly systemId: string;
  readonly timeline: number;
  readonly database: string;
  /** Every transaction with an id before this one had ended when the snapshot was taken. */
  readonly snapshotXmin: number;
  /** The end of the WAL, read after the snapshot: every commit that it sees lies before. */
  readonly walEndLsn: Lsn;
  readonly slot: {
    readonly confirmedLsn: Lsn | null;
    /** Every transaction with an id before this one had ended before the confirmed position. */
    readonly catalogXmin: number | null;
    readonly isActive: boolean;
    readonly holder: string | null;
    readonly walStatus: string | null;
  } | null;
  readonly tracksCommitTime: boolean;
  /** By the clock of Postgres, microseconds since 1970; before the snapshot. */
  readonly nowUs: bigint;
}

/** Two statements, in this order: the end of the WAL has to be read after the snapshot. */
export async function readServerState(connection: ReadingConnection, slot: string): Promise<ServerState> {
  const [first] = await connection.rows(
    'SELECT pg_is_in_recovery(), pg_snapshot_xmin(pg_current_snapshot()), (extract(epoch FROM now()) * 1000000)::bigint',
  );
  if (first?.[0] === 't') {
    throw new WalrelayError(
      'PG_READ_ONLY',
      'DATABASE_URL points at a standby: only the primary knows the slot',
    );
  }
  const text = await connection.text(serverSql(slot));
  const raw = JSON.parse(text ?? '{}') as RawServer;
  return {
    systemId: raw.systemId,
    timeline: Number.parseInt(raw.timeline, 16),
    database: raw.database,
    snapshotXmin: Number(BigInt.asUintN(32, BigInt(first?.[1] ?? 0))),
    walEndLsn: parseLsn(raw.walEnd),
    tracksCommitTime: raw.tracksCommitTime === 'on',
    nowUs: BigInt(first?.[2] ?? 0),
    slot:
      raw.slot === null
        ? null
        : {
            ...raw.slot,
            confirmedLsn: raw.slot.confirmedLsn === null ? null : parseLsn(raw.slot.confirmedLsn),
            catalogXmin: raw.slot.catalogXmin === null ? null : Number(raw.slot.catalogXmin),
          },
  };
}

interface RawServer {
  readonly systemId: string;
  readonly timeline: string;
  readonly database: string;
  readonly walEnd: string;
  readonly tracksCommitTime: string;
  readonly slot: {
    readonly confirmedLsn: string | null;
    readonly catalogXmin: string | null;
    readonly isActive: boolean;
    readonly holder: string | null;
    readonly walStatus: string | null;
  } | null;
}

function serverSql(slot: string): string {
  return `SELECT json_build_object(
  'systemId', (SELECT system_identifier::text FROM pg_control_system()),
  'timeline', left(pg_walfile_name(pg_current_wal_insert_lsn()), 8),
  'database', current_database(),
  'walEnd', pg_current_wal_insert_lsn()::text,
  'tracksCommitTime', current_setting('track_commit_timestamp'),
  'slot', (SELECT json_build_object('confirmedLsn', s.confirmed_flush_lsn::text, 'catalogXmin', s.catalog_xmin::text,
      'isActive', s.active, 'walStatus', s.wal_status,
      'holder', (SELECT concat_ws(' ', 'pid', a.pid, a.application_name) FROM pg_stat_activity a WHERE a.pid = s.active_pid))
    FROM pg_replication_slots s WHERE s.slot_name = ${quoteLiteral(slot)} AND s.database = current_database())
)::text`;
}

/** How far the relay is, for people. */
export function positionsOf(
  lane: LaneState,
  server: ServerState,
): { readonly watermark: string; readonly floor: string; readonly confirmed: string | null } {
  const confirmedLsn = server.slot?.confirmedLsn ?? null;
  return {
    watermark: formatPosition(lane.watermark),
    floor: formatLsn(lane.floorLsn),
    confirmed: confirmedLsn === null ? null : formatLsn(confirmedLsn),
  };
}

/**
 * Throws when lane and server are not of one history: positions would mean nothing then. `server`: read after `lane`, which
 * moves on. A Redis that is behind the slot may be audited: that is what an audit is for.
 */
export function checkSameHistory(lane: LaneState, server: ServerState, settings: Settings): void {
  const { metaKey, slot } = settings;
  if (lane.slot !== slot || lane.database !== server.database) {
    throw new WalrelayError(
      'LANE_FOREIGN',
      `the lane state ${metaKey} belongs to the slot ${lane.slot} of the database ${lane.database}`,
    );
  }
  if (lane.recovery !== undefined) {
    // What it has yet to publish would be published twice.
    throw new WalrelayError(
      'RECOVERY_UNFINISHED',
      `a recovery of the slot ${slot} was begun and has not ended (${lane.recovery})`,
    );
  }
  if (lane.snapshot !== undefined) {
    throw new WalrelayError(
      'SNAPSHOT_UNFINISHED',
      `a snapshot for the slot ${slot} was begun and has not ended (${lane.snapshot})`,
    );
  }
  if (lane.systemId !== server.systemId) {
    throw new WalrelayError(
      'SYSTEM_CHANGED',
      `Redis remembers the Postgres cluster ${lane.systemId}; this is the cluster ${server.systemId}`,
    );
  }
  if (server.timeline < lane.timeline) {
    throw new WalrelayError(
      'TIMELINE_BEHIND',
      `this server is on timeline ${server.timeline}, Redis has entries from timeline ${lane.timeline}`,
    );
  }
  if (server.timeline > lane.timeline) {
    throw new WalrelayError(
      'TIMELINE_FORK',
      `this server was promoted to timeline ${server.timeline}, and no relay has looked at it since`,
      {
        hint: 'Start the relay: it checks that the promoted server has all that Redis holds. Then audit again.',
      },
    );
  }
  // The watermark is where its commit record begins: a WAL that ends there does not hold that commit.
  if (server.walEndLsn <= lane.watermark.commitLsn || server.walEndLsn < lane.floorLsn) {
    throw new WalrelayError(
      'POSTGRES_BEHIND',
      `Redis holds entries up to ${formatPosition(lane.watermark)}, but this server's WAL ends at ${formatLsn(server.walEndLsn)}`,
    );
  }
}
