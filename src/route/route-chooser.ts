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
      if (!conditions.every((condition) => fits(condition, bytes, starts, lengths))) continue;
      return router === null ? null : router.route(bytes, starts, lengths);
    }
    return null;
  }
}

function fits(condition: Condition, bytes: Buffer, starts: Int32Array, lengths: Int32Array): boolean {
  const length = lengths[condition.slot] as number;
  if (length < 0) return condition.fitsNull;
  const start = starts[condition.slot] as number;
  return condition.values.some(
    (value) => value.length === length && bytes.compare(value, 0, length, start, start + length) === 0,
  );
}
