import type { Piece } from '../core/entry-shape.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { type ComposedEvent, measurePieces } from './composed-value.ts';
import type { PackedShape } from './packed-shapes.ts';

/**
 * Throws EVENT_TOO_LARGE when what is put together of an event is larger than an event may be, though its row was not: quoted
 * or in base64 it takes more room, which neither the memory budget nor Redis may have.
 */
export function checkComposedSize(
  { pieces, slots }: PackedShape,
  event: ComposedEvent,
  eventBytesMax: number,
  stream: string,
): void {
  let rowBytes = 0;
  for (const slot of slots) rowBytes += Math.max(0, event.lengths[slot] as number);
  // Most events are far from it, and are not measured twice.
  if (rowBytes * GROWTH_MAX <= eventBytesMax) return;
  const bytes = pieces.reduce(
    (sum, each: readonly Piece[]) => sum + Math.max(0, measurePieces(each, event)),
    0,
  );
  if (bytes <= eventBytesMax) return;
  throw new WalrelayError(
    'EVENT_TOO_LARGE',
    `the event has ${bytes} bytes in its format (${rowBytes} in its row), more than ${eventBytesMax}`,
    { facts: { stream } },
  );
}

/** A control character becomes six, and a column may stand in an entry twice. */
const GROWTH_MAX = 12;
