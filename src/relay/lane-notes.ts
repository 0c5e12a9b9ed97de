import type { Lsn } from '../core/lsn.ts';
import { comparePositions, formatPosition, ORIGIN } from '../core/position.ts';
import type { Logger } from '../ops/logger.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { RelayOutbox, RelayShape } from './relay-shape.ts';
import { checkRouting } from './routing-guard.ts';

/**
 * What the lane is to remember from here on of how entries are made, as its fields; empty where it does already. Throws
 * ROUTING_CHANGED. A changed format only warns: no event is lost or overtaken by it, and what stands stays as it is.
 */
export function notesForLane(
  lane: Pick<LaneState, 'routing' | 'formats' | 'watermark'>,
  { routing, formats }: Pick<RelayShape, 'routing' | 'formats'>,
  { confirmedLsn, logger }: { readonly confirmedLsn: Lsn; readonly logger: Pick<Logger, 'warn'> },
): Readonly<Record<string, string>> {
  const before = lane.formats ?? '';
  const notes = {
    ...(checkRouting(lane, routing, confirmedLsn) ? { routing } : {}),
    ...(before === formats ? {} : { formats }),
  };
  if (before !== formats && comparePositions(lane.watermark, ORIGIN) > 0) {
    logger.warn(
      { before: before || NATIVE, now: formats || NATIVE, behind: formatPosition(lane.watermark) },
      'the format of entries was changed: those that stand have the former one, what comes has the new one',
    );
  }
  return notes;
}

/** The formats of each outbox and its routes. Empty where all are native. */
export function formatIdentity(outboxes: readonly RelayOutbox[]): string {
  return outboxes
    .flatMap(({ settings: { name, format, routes } }) => {
      const formats = [...routes.filter(({ isDropped }) => !isDropped), { format }].map(
        (one) => one.format ?? format,
      );
      return formats.every((one) => one === NATIVE) ? [] : [`${name}: ${[...new Set(formats)].join(', ')}`];
    })
    .toSorted()
    .join('; ');
}

const NATIVE = 'native';
