import { type Lsn, lsnFromHex, lsnToHex } from '../core/lsn.ts';
import { type Position, positionFromHex, positionToHex } from '../core/position.ts';
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
  readonly systemId: string;
  readonly timeline: number;
  readonly slot: string;
  readonly database: string;
  /** The publication and the table's place in it, as the catalog identified them when this epoch began. */
  readonly publicationIdentity: string;
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
  const read = (name: string): string => {
    const value = fields[name];
    if (value === undefined) {
      throw new WalrelayError(
        'REDIS_BEHIND',
        `the lane state ${key} has lost its field ${name}`,
        damaged(key),
      );
    }
    return value;
  };
  try {
    return {
      epoch: readCount(read('epoch')),
      fence: readCount(read('fence')),
      watermark: positionFromHex(read('watermark')),
      floorLsn: lsnFromHex(read('floor')),
      systemId: read('system_id'),
      timeline: readCount(read('timeline')),
      slot: read('slot'),
      database: read('database'),
      publicationIdentity: read('publication'),
    };
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
