import { formatLsn, type Lsn } from '../core/lsn.ts';
import { comparePositions, formatPosition, ORIGIN, type Position } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { RelayOutbox } from './relay-shape.ts';

/**
 * What decides about the stream of an event in a way that may not change under way: the number of partitions, and on a
 * cluster, where each hash tag is a lane with a watermark of its own, every template. Empty where nothing does.
 */
export function routingIdentity(
  outboxes: readonly RelayOutbox[],
  { isCluster }: { isCluster: boolean },
): string {
  return outboxes
    .flatMap(({ settings, outbox }) => {
      const isPartitioned = outbox.templates.some(({ placeholders }) => placeholders.includes('partition'));
      const partitions = isPartitioned ? ` ${settings.partitions} partitions` : '';
      const templates = isCluster
        ? outbox.templates.map(({ text }) => ` ${JSON.stringify(text)}`).join('')
        : '';
      return partitions + templates === '' ? [] : [`${settings.name}:${partitions}${templates}`];
    })
    .toSorted()
    .join('; ');
}

/**
 * Whether the routing is to be noted in the lane. Throws ROUTING_CHANGED when it changed while events were under way: they
 * may stand in their former streams already, and their successors would overtake them in others.
 */
export function checkRouting(
  lane: {
    /** Undefined: it was written before there was such a thing. */
    readonly routing?: string | undefined;
    readonly watermark: Position;
  },
  routing: string,
  confirmedLsn: Lsn,
): boolean {
  const { routing: noted, watermark } = lane;
  if (noted === undefined) return routing !== '';
  if (noted === routing) return false;
  const isDrained = comparePositions(watermark, ORIGIN) === 0 || watermark.commitLsn < confirmedLsn;
  if (isDrained) return true;
  throw new WalrelayError(
    'ROUTING_CHANGED',
    `the routing was changed (from ${noted || 'none to remember'} to ${routing || 'none to remember'}) while events up to ` +
      `${formatPosition(watermark)} are confirmed to Postgres only up to ${formatLsn(confirmedLsn)}`,
    { facts: { noted, routing } },
  );
}
