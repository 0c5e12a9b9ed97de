import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  codeOfFault,
  codeOfStrangeAnswer,
  COMMAND_PLACES,
  REDIS_FAULTS,
  SHORT_COUNT,
  STRANGE_ANSWERS,
} from '../../dev/docs/reply-safety/redis-faults.ts';
import { REDIS_PLACES, REDIS_REPLIES, type RedisPlace } from '../../dev/docs/reply-safety/redis-replies.ts';
import { namesKey } from '../../src/core/own-keys.ts';
import { startReplica } from '../../dev/servers/redis-replica.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { isLong, Links } from '../support/chaos-links.ts';
import type { Env } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { PlayedPromotion } from '../support/played-promotion.ts';
import { type CellResult, ReplyCells, resultOf } from '../support/reply-cells.ts';
import { ReplySwap, type Swap, type SwapMode } from '../support/reply-swap.ts';
import { createOutbox } from '../support/servers.ts';

/** Enough for a busy machine, and soon over. */
const IMPATIENT = { WALRELAY_REDIS_TIMEOUT_MS: '400' };

const PLACES = Object.keys(REDIS_PLACES) as RedisPlace[];
/** A place that changes nothing at the server: whether it was executed shows nowhere. */
const READS: ReadonlySet<RedisPlace> = new Set(['ping', 'info', 'config', 'read', 'load', 'names']);

function modesAt(place: RedisPlace): readonly SwapMode[] {
  return READS.has(place) && !isLong ? ['swallowed'] : ['executed', 'swallowed'];
}

/** What a session does after it has begun to stream. */
const LATE: ReadonlySet<RedisPlace> = new Set(['name', 'append', 'floor', 'wait']);

let servers: readonly RedisServer[] = [];
let outbox: Outbox;
let links: Links;
let promotion: PlayedPromotion;
let swaps: ReplySwap;
let cells: ReplyCells;

beforeAll(async () => {
  // A database of its own number, so that SELECT is sent.
  const primary = await startRedis();
  servers = [primary];
  servers = [primary, await startReplica(primary)];
  outbox = await createOutbox({ redisUrl: `${primary.url}/2` });
  links = await Links.open(outbox);
  promotion = new PlayedPromotion(links.postgres);
  swaps = new ReplySwap(links.redis);
  cells = await ReplyCells.open(outbox, links.env);
});

afterAll(async () => {
  await links?.[Symbol.asyncDispose]();
  await outbox?.[Symbol.asyncDispose]();
  for (const server of servers) await server.dispose();
});

// Nothing was lost, doubled or taken for delivered by whatever came instead of an answer.
afterEach(async () => {
  await cells.expectExact();
});

/** One life of a relay with this answer in it. */
async function cell(swap: Swap, settings: Env = {}): Promise<CellResult> {
  const env = swap.at === 'wait' ? { ...settings, WALRELAY_DURABILITY: 'replicas:1' } : settings;
  promotion.isOn = swap.at === 'annotate';
  // Each life meets its stream for the first time.
  if (swap.at === 'name') await outbox.redis.del(namesKey(outbox.metaKey));
  try {
    return await cells.run({
      fired: swaps.arm(swap),
      isLate: LATE.has(swap.at),
      env,
    });
  } finally {
    promotion.isOn = false;
    if (swap.at === 'annotate') await outbox.redis.hset(outbox.metaKey, 'timeline', 1);
  }
}

function bytesOf(reply: string, place: RedisPlace): Buffer {
  const text = reply
    .replace('<password>', new URL(outbox.redisUrl).password)
    .replace('<payload>', cells.marker);
  if (place !== 'entry') return Buffer.from(`${text}\r\n`);
  const refusal = text.slice(1);
  return Buffer.from(`*3\r\n:0\r\n:0\r\n$${Buffer.byteLength(refusal)}\r\n${refusal}\r\n`);
}

type Cells = Record<string, CellResult>;

describe('instead of the answer, executed or not, at every place', () => {
  test.each(REDIS_REPLIES)('$name', async ({ reply, code, except }) => {
    const results: Cells = {};
    const expected: Cells = {};
    for (const place of PLACES) {
      for (const mode of modesAt(place)) {
        const at = place === 'entry' ? 'append' : place;
        results[`${place} ${mode}`] = await cell({ at, mode, bytes: bytesOf(reply, place) });
        expected[`${place} ${mode}`] = resultOf(except?.[place] ?? code);
      }
    }
    expect(results).toEqual(expected);
  });

  test.each(REDIS_FAULTS)('$name', async (fault) => {
    const results: Cells = {};
    const expected: Cells = {};
    for (const at of COMMAND_PLACES) {
      for (const mode of modesAt(at)) {
        const isHalf = fault.isHalf === true;
        // Half of an answer needs one.
        if (isHalf && mode === 'swallowed' && !READS.has(at)) continue;
        const bytes = isHalf ? null : Buffer.alloc(0);
        results[`${at} ${mode}`] = await cell(
          { at, mode: isHalf ? 'executed' : mode, bytes, isHalf, ending: fault.ending },
          IMPATIENT,
        );
        expected[`${at} ${mode}`] = resultOf(codeOfFault(fault, at));
      }
    }
    expect(results).toEqual(expected);
  });

  test.each(STRANGE_ANSWERS)('$name', async ({ bytes }) => {
    const results: Cells = {};
    const expected: Cells = {};
    for (const at of COMMAND_PLACES) {
      for (const mode of modesAt(at)) {
        // A count that is large enough.
        if (at === 'wait' && bytes.startsWith(':')) continue;
        // Without AUTH and SELECT all that follows would be refused, or go into another database.
        if ((at === 'auth' || at === 'select') && mode === 'swallowed') continue;
        results[`${at} ${mode}`] = await cell({ at, mode, bytes: Buffer.from(bytes) });
        expected[`${at} ${mode}`] = resultOf(codeOfStrangeAnswer(at));
      }
    }
    expect(results).toEqual(expected);
  });

  test('an answer for none of the events', async () => {
    for (const mode of modesAt('append')) {
      const result = await cell({ at: 'append', mode, bytes: Buffer.from(SHORT_COUNT.bytes) });
      expect(result).toEqual(resultOf(SHORT_COUNT.code));
    }
  });
});
