import type { EventRouter } from './outbox.ts';
import type { Stream } from './stream-router.ts';

/** A route, compiled: where the events go whose columns fit. Null: nowhere, they are filtered out. */
export interface ChosenRoute {
  readonly conditions: readonly Condition[];
  readonly router: EventRouter | null;
}

export interface Condition {
  readonly slot: number;
  /** As Postgres renders them. */
  readonly values: readonly Buffer[];
  readonly fitsNull: boolean;
}

/** Takes the first route whose conditions an event meets, all of them. The last route has none. */
export class RouteChooser implements EventRouter {
  readonly #routes: readonly ChosenRoute[];

  constructor(routes: readonly ChosenRoute[]) {
    this.#routes = routes;
  }

  route(bytes: Buffer, starts: Int32Array, lengths: Int32Array): Stream | null {
    for (const { conditions, router } of this.#routes) {
      if (!fitAll(conditions, bytes, starts, lengths)) continue;
      return router === null ? null : router.route(bytes, starts, lengths);
    }
    return null;
  }
}

/** Loops, not closures: every event comes through here. */
function fitAll(
  conditions: readonly Condition[],
  bytes: Buffer,
  starts: Int32Array,
  lengths: Int32Array,
): boolean {
  for (const { slot, values, fitsNull } of conditions) {
    const length = lengths[slot] as number;
    const isFit = length < 0 ? fitsNull : isOneOf(values, bytes, starts[slot] as number, length);
    if (!isFit) return false;
  }
  return true;
}

function isOneOf(values: readonly Buffer[], bytes: Buffer, start: number, length: number): boolean {
  for (const value of values) {
    if (value.length === length && bytes.compare(value, 0, length, start, start + length) === 0) return true;
  }
  return false;
}
