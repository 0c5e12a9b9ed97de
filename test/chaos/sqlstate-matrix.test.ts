import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import {
  codeOfSqlState,
  POSTGRES_PLACES,
  type PostgresPlace,
  SQLSTATES,
} from '../../dev/docs/reply-safety/sqlstates.ts';
import { Links } from '../support/chaos-links.ts';
import { ErrorResponseSwap } from '../support/error-response-swap.ts';
import type { Outbox } from '../support/outbox.ts';
import { type CellResult, ReplyCells, resultOf } from '../support/reply-cells.ts';
import { createOutbox } from '../support/servers.ts';

const PLACES = Object.keys(POSTGRES_PLACES) as PostgresPlace[];
/** The text of these may quote a row; in that of the others there is nothing to hide. */
const QUOTES_ROWS: ReadonlySet<string> = new Set(['22P02', 'P0001']);

let outbox: Outbox;
let links: Links;
let swaps: ErrorResponseSwap;
let cells: ReplyCells;

beforeAll(async () => {
  outbox = await createOutbox();
  links = await Links.open(outbox);
  swaps = new ErrorResponseSwap(links.postgres);
  cells = await ReplyCells.open(outbox, links.env);
});

afterAll(async () => {
  await links?.[Symbol.asyncDispose]();
  await outbox?.[Symbol.asyncDispose]();
});

afterEach(async () => {
  await cells.expectExact();
});

test.each(SQLSTATES)('$state $name, at every place', async (sqlState) => {
  const { state, name, isFatal = false } = sqlState;
  const message = QUOTES_ROWS.has(state) ? `bad value: ${cells.marker}` : name;
  const results: Record<string, CellResult> = {};
  const expected: Record<string, CellResult> = {};
  for (const at of PLACES) {
    for (const isBehind of at === 'stream' ? [false, true] : [false]) {
      const fired = swaps.arm({ at, sqlState: state, isFatal, message, secret: cells.marker, isBehind });
      const place = isBehind ? `${at}, behind an event` : at;
      results[place] = await cells.run({ fired, isLate: at === 'stream' || at === 'watch' });
      expected[place] = resultOf(codeOfSqlState(sqlState, at));
    }
  }
  expect(results).toEqual(expected);
});
