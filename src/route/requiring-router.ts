import { WalrelayError } from '../core/walrelay-error.ts';
import type { EventRouter } from './outbox.ts';
import type { Stream } from './stream-router.ts';

export interface RequiredValue {
  readonly slot: number;
  readonly mayBeEmpty: boolean;
}

/** For formats that can't do without some value: an event that lacks it can't pass, whatever its stream. */
export class RequiringRouter implements EventRouter {
  readonly #router: { route(bytes: Buffer, starts: Int32Array, lengths: Int32Array): Stream };
  readonly #values: readonly RequiredValue[];
  readonly #columns: readonly string[];

  constructor(
    router: { route(bytes: Buffer, starts: Int32Array, lengths: Int32Array): Stream },
    values: readonly RequiredValue[],
    columns: readonly string[],
  ) {
    this.#router = router;
    this.#values = values;
    this.#columns = columns;
  }

  route(bytes: Buffer, starts: Int32Array, lengths: Int32Array): Stream {
    for (const { slot, mayBeEmpty } of this.#values) {
      const length = lengths[slot] as number;
      if (length > 0 || (length === 0 && mayBeEmpty)) continue;
      const what = length === 0 ? 'empty' : 'NULL';
      throw new WalrelayError(
        'EVENT_INCOMPLETE',
        `the event is no CloudEvent: ${this.#columns[slot]}, which fills its id or type, is ${what}`,
      );
    }
    return this.#router.route(bytes, starts, lengths);
  }
}
