import { type Lsn, lsnFromHex, lsnToHex } from '../core/lsn.ts';
import { ORIGIN, type Position, positionFromHex, positionToHex } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { LANE_VERSION } from './append-script.ts';

/**
 * What Redis remembers of a lane, one hash under the meta key. It is written by the scripts alone, in the same
 * block as the entries it speaks of.
 */
export interface LaneState {
  /** Counts the unbroken histories of cluster and slot; raised only by an operator (`walrelay epoch accept`). */
  readonly epoch: number;
  /** Raised by every session; only the holder of the newest may write. */
  readonly fence: number;
  /** The position of the last event appended. */
  readonly watermark: Position;
  /** What was about to be confirmed when it was noted: never below the slot's confirmed_flush. */
  readonly floorLsn: Lsn;
  /** Of which Postgres cluster, and of which branch of its history, the events are. */
  readonly systemId: string;
  readonly timeline: number;
  readonly slot: string;
  readonly database: string;
  /** The publication and the table's place in it, as the catalog identified them when this epoch began. */
  readonly publicationIdentity: string;
  /** How far a recovery has come that began and did not end; absent when there is none (`walrelay recover`). */
  readonly recovery?: string;
  /** How events were routed to streams, as far as that must not change under way; absent in older lanes. */
  readonly routing?: string;
  /** The formats of entries, where not all are native. */
  readonly formats?: string;
  /** Since when the clean-up knows the rows of this epoch, as its note says; absent when it never ran in it. */
  readonly cleanUp?: string;
  /** How far a snapshot has come that began and did not end; absent when there is none (`walrelay init --snapshot`). */
  readonly snapshot?: string;
  /** Which rows that snapshot is of, and in which order: the next one is to go on with the same. */
  readonly snapshotSelection?: string;
  /** On a cluster: its lanes. The watermark above is then the highest of theirs. */
  readonly parts?: readonly LanePart[];
}

/** One lane of a cluster, beside the state that covers them all. */
export interface LanePart {
  readonly tag: string;
  readonly key: string;
  /** Null: the lane is listed, and its state is gone or was never written. */
  readonly state: LanePartState | null;
  /** Floors noted after something was appended to it: the newest that Postgres was told, and those after it. */
  readonly notedLsns: readonly Lsn[];
}

export interface LanePartState {
  readonly epoch: number;
  readonly fence: number;
  readonly watermark: Position;
  readonly floorLsn: Lsn;
  /** The lane's own: the control state may have forgotten the lane when a promotion was noted there. */
  readonly systemId: string;
  readonly timeline: number;
}

/** Whose timeline and watermark belong together: the one lane, or the control state, which has no entries, and its lanes. */
export function historiesOf(lane: LaneState): readonly LanePartState[] {
  if (lane.parts === undefined) return [lane];
  const parts = lane.parts.map(({ state }) => state).filter((state) => state !== null);
  return [{ ...lane, watermark: ORIGIN }, ...parts];
}

export function laneToFields(lane: LaneState): Record<string, string> {
  return {
    v: LANE_VERSION,
    epoch: String(lane.epoch),
    fence: String(lane.fence),
    watermark: positionToHex(lane.watermark),
    floor: lsnToHex(lane.floorLsn),
    system_id: lane.systemId,
    timeline: String(lane.timeline),
    slot: lane.slot,
    database: lane.database,
    publication: lane.publicationIdentity,
    recovery: lane.recovery ?? '',
    clean_up: lane.cleanUp ?? '',
    ...(lane.routing === undefined ? {} : { routing: lane.routing }),
    ...(lane.formats === undefined ? {} : { formats: lane.formats }),
    snapshot: lane.snapshot ?? '',
    snapshot_selection: lane.snapshotSelection ?? '',
  };
}

/** Null when there is no lane. Throws when what is there can't be trusted: another version, or damaged. */
export function laneFromFields(key: string, fields: Readonly<Record<string, string>>): LaneState | null {
  if (Object.keys(fields).length === 0) return null;
  if (fields['v'] !== LANE_VERSION) {
    throw new WalrelayError(
      'LANE_VERSION',
      `the lane state ${key} has version ${JSON.stringify(fields['v'] ?? 'none')}; this Walrelay knows version ${LANE_VERSION}`,
    );
  }
  const read = (name: string) => readField(key, fields, name);
  return undamaged(key, () => ({
    ...partFromFields(key, fields),
    slot: read('slot'),
    database: read('database'),
    publicationIdentity: read('publication'),
    // Lanes that were written before there was such a thing have no field.
    ...(fields['recovery'] ? { recovery: fields['recovery'] } : {}),
    ...(fields['routing'] === undefined ? {} : { routing: fields['routing'] }),
    ...(fields['formats'] === undefined ? {} : { formats: fields['formats'] }),
    ...(fields['clean_up'] ? { cleanUp: fields['clean_up'] } : {}),
    ...(fields['snapshot'] ? { snapshot: fields['snapshot'] } : {}),
    ...(fields['snapshot_selection'] ? { snapshotSelection: fields['snapshot_selection'] } : {}),
  }));
}

/** The fields that every lane has. */
export function partFromFields(key: string, fields: Readonly<Record<string, string>>): LanePartState {
  const read = (name: string) => readField(key, fields, name);
  return undamaged(key, () => ({
    epoch: readCount(read('epoch')),
    fence: readCount(read('fence')),
    watermark: positionFromHex(read('watermark')),
    floorLsn: lsnFromHex(read('floor')),
    systemId: read('system_id'),
    timeline: readCount(read('timeline')),
  }));
}

function readField(key: string, fields: Readonly<Record<string, string>>, name: string): string {
  const value = fields[name];
  if (value !== undefined) return value;
  throw new WalrelayError('REDIS_BEHIND', `the lane state ${key} has lost its field ${name}`, damaged(key));
}

function undamaged<T>(key: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof WalrelayError) throw error;
    throw new WalrelayError('REDIS_BEHIND', `the lane state ${key} is damaged: ${String(error)}`, {
      ...damaged(key),
      cause: error,
    });
  }
}

function readCount(text: string): number {
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw new RangeError(`not a count: ${JSON.stringify(text)}`);
  return value;
}

/** Nothing can be kept of a lane that can't be read; the way on begins by removing it. */
function damaged(key: string): { readonly hint: string } {
  return {
    hint: `Save what is there (HGETALL ${key}), DEL ${key}, then \`walrelay epoch accept\` says what may be double.`,
  };
}
