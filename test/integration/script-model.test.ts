import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startRedis } from '../../dev/servers/redis.ts';
import { lsnToHex, toLsn } from '../../src/core/lsn.ts';
import { type Position, positionToHex } from '../../src/core/position.ts';
import { ANNOTATE_SCRIPT, FENCE_SCRIPT, FLOOR_SCRIPT } from '../../src/sink/append-script.ts';
import { Batch, type BatchStream } from '../../src/sink/batch.ts';
import { LIST_LANE_SCRIPT, OPEN_LANE_SCRIPT } from '../../src/sink/cluster-script.ts';
import { compileOutbox, type Outbox } from '../../src/route/outbox.ts';
import { compileAppendScript } from '../../src/sink/append-script.ts';
import { packLetter } from '../../src/sink/dead-letter.ts';
import { type PackedShapes, packShapes } from '../../src/sink/packed-shapes.ts';
import { NATIVE_OUTBOX, NATIVE_SHAPES } from '../support/native-outbox.ts';
import { TransactionStamp } from '../../src/sink/transaction-stamp.ts';
import {
  annotateScript,
  appendScriptOf,
  emptyState,
  fenceScript,
  floorScript,
  listLaneScript,
  openLaneScript,
  type RedisState,
  Refusal,
  type Reply,
  type ScriptCall,
  WRONGTYPE,
} from '../simulation/script-model.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';

const AWKWARD: Outbox = compileOutbox(
  {
    ...NATIVE_OUTBOX.mapping,
    fields: { größe: 'payload', 'a "quoted" \n name': 'type' },
    staticFields: { "it's": 'a \\ "constant"\r\n\u0001', größte: '' },
  },
  { metaKey: 'lane', deadLetterStream: 'letters' },
);

function formatted(
  format: Outbox['mapping']['format'],
  fields: Outbox['mapping']['fields'] = { traceparent: 'traceparent' },
): Outbox {
  return compileOutbox(
    { ...NATIVE_OUTBOX.mapping, format, fields },
    { metaKey: 'lane', deadLetterStream: 'letters' },
  );
}

/** Every kind of shape at once: of columns, constants, put together, named by the event. */
const MANY = [
  NATIVE_OUTBOX,
  AWKWARD,
  formatted('cloudevents-structured'),
  formatted('cloudevents-binary'),
  formatted('debezium'),
  formatted('debezium-compact', {}),
  formatted('raw', {}),
].flatMap(({ shapes }) => shapes);

/** The simulation believes the model; so the model must do what the scripts do. */
test.each([
  { what: 'the usual shape', shapes: NATIVE_SHAPES },
  {
    what: 'the usual shape and dead letters',
    shapes: packShapes(NATIVE_OUTBOX.shapes, { hasPosition: true, hasLoose: true }),
  },
  { what: 'many shapes', shapes: packShapes(MANY, { hasPosition: true }) },
  {
    what: 'many shapes and dead letters',
    shapes: packShapes(MANY, { hasPosition: true, hasLoose: true }),
  },
])(
  'of $what: the scripts on a real Redis answer and write what their model does, whatever is called in which order',
  async ({ what, shapes }) => {
    const random = new Random(chaosSeed(`script model of ${what}`));
    await using server = await startRedis();
    const redis = new Redis(server.url);
    try {
      const answers = new Set<string>();
      for (let run = 0; run < 20; run += 1) {
        await redis.flushall();
        const pair = new Pair(redis, random, shapes);
        for (let step = 0; step < 40; step += 1) {
          const { told, word, modelled, real } = await pair.step();
          expect({ told, ...modelled }).toEqual({ told, ...real });
          answers.add(word);
        }
        await pair.allowWrites();
      }
      // All that the scripts can say was said: else equal answers would prove little.
      expect([...answers].sort()).toEqual(
        expect.arrayContaining([
          'EPOCH',
          'FENCED',
          'GAP',
          'NOLANE',
          'OOM',
          'READONLY',
          'WRONGTYPE',
          'answer',
        ]),
      );
    } finally {
      redis.disconnect();
    }
  },
  300_000,
);

/** The same calls to a real Redis and to the model. */
class Pair {
  readonly #redis: Redis;
  readonly #random: Random;
  readonly #state: RedisState = emptyState();
  readonly #shapes: PackedShapes;
  #writeRefusal: string | null = null;

  constructor(redis: Redis, random: Random, shapes: PackedShapes) {
    this.#redis = redis;
    this.#random = random;
    this.#shapes = shapes;
  }

  async step(): Promise<Step> {
    const roll = this.#random.int(0, 99);
    if (roll < 45) return this.#append();
    if (roll < 60) return this.#floor();
    if (roll < 70)
      return this.#call(
        FENCE_SCRIPT,
        fenceScript,
        [this.#lane()],
        [this.#epoch(), 'me', this.#pick('0', '0', '9')],
      );
    if (roll < 75)
      return this.#call(
        ANNOTATE_SCRIPT,
        annotateScript,
        [this.#lane()],
        [this.#epoch(), this.#fence(), 'timeline', '2'],
      );
    if (roll < 84)
      return this.#call(
        OPEN_LANE_SCRIPT,
        openLaneScript,
        [this.#lane()],
        [
          this.#epoch(),
          this.#fence(),
          'me',
          positionToHex(this.#position()),
          lsnToHex(toLsn(7n)),
          '7469',
          '2',
        ],
      );
    if (roll < 90)
      return this.#call(
        LIST_LANE_SCRIPT,
        listLaneScript,
        [this.#lane()],
        [this.#epoch(), this.#fence(), this.#pick('lane:a', 'lane:b')],
      );
    return this.#disturb(roll);
  }

  async allowWrites(): Promise<void> {
    if (this.#writeRefusal === null) return;
    this.#writeRefusal = null;
    await this.#redis.config('SET', 'maxmemory', '0');
    await this.#redis.call('REPLICAOF', 'NO', 'ONE');
  }

  async #disturb(roll: number): Promise<Step> {
    if (roll < 94) {
      const key = this.#pick(...LANES, ...STREAMS);
      await this.allowWrites();
      await this.#redis.del(key);
      for (const kind of [this.#state.hashes, this.#state.streams, this.#state.others]) kind.delete(key);
      if (roll < 92) return this.#look('deleted');
      await this.#redis.set(key, 'a string');
      this.#state.others.add(key);
      return this.#look('a string');
    }
    if (this.#writeRefusal !== null) {
      await this.allowWrites();
      return this.#look('writes');
    }
    if (roll < 97) {
      await this.#redis.config('SET', 'maxmemory', '1');
      this.#writeRefusal = "OOM command not allowed when used memory > 'maxmemory'.";
    } else {
      await this.#redis.call('REPLICAOF', '127.0.0.1', '1');
      this.#writeRefusal = "READONLY You can't write against a read only replica.";
    }
    return this.#look('no writes');
  }

  #append(): Promise<Step> {
    const from = this.#position();
    const batch = new Batch(1, from, Buffer.alloc(0), this.#shapes);
    const streams = new Map<string, BatchStream>();
    const stamp = new TransactionStamp();
    let { commitLsn, ordinal } = this.#random.int(0, 3) === 0 ? this.#position() : from;
    for (let count = this.#random.int(1, 4); count > 0; count -= 1) {
      if (this.#random.int(0, 1) === 0) ordinal += 1;
      else [commitLsn, ordinal] = [toLsn(commitLsn + BigInt(this.#random.pick([1, 0x10, 0x9000_0000]))), 0];
      stamp.set(commitLsn, 0n);
      const name = this.#random.pick(STREAMS);
      const shape = this.#random.pick(this.#shapes.shapes);
      const target = `${name} ${shape.number}`;
      const stream = streams.get(target) ?? { name, shape: shape.number, batchSeq: -1, keyIndex: -1 };
      streams.set(target, stream);
      if (shape.isLoose) {
        const letter = packLetter([['reason', 'none'], ...this.#letterFields()]);
        batch.append(stream, stamp, ordinal, letter, Int32Array.of(0), Int32Array.of(letter.length), []);
        continue;
      }
      const values = ['id', 'type', 'order', this.#random.pick(['o-1', null]), '{"a": 1}', '00-ab-01'];
      // Formats that name a field by it, or need it, have no event without it.
      if (this.#random.int(0, 3) === 0) values[4] = null;
      const starts: number[] = [];
      let text = '';
      for (const value of values) {
        starts.push(text.length);
        text += value ?? '';
      }
      const lengths = values.map((value) => value?.length ?? -1);
      const kinds = values.map((_, slot) =>
        slot === 4 ? this.#random.pick(['json', 'text', 'bytes'] as const) : 'text',
      );
      batch.append(
        stream,
        stamp,
        ordinal,
        Buffer.from(text),
        Int32Array.from(starts),
        Int32Array.from(lengths),
        kinds,
      );
    }
    const { previous, last, count, packed } = batch.seal();
    const args = [this.#epoch(), this.#fence(), previous, last, String(count), Buffer.from(packed)];
    const { text } = compileAppendScript(this.#shapes);
    return this.#call(text, appendScriptOf(this.#shapes), [this.#lane(), ...batch.keys], args);
  }

  #letterFields(): [string, string][] {
    const fields: [string, string][] = [
      ['column:id', ''],
      ['column:größe "x"', '\u0000\n'],
      ['column:payload', 'x'.repeat(this.#random.pick([31, 32, 70_000]))],
    ];
    return this.#random.shuffle(fields).slice(0, this.#random.int(0, fields.length));
  }

  #floor(): Promise<Step> {
    const args = [
      this.#epoch(),
      this.#fence(),
      lsnToHex(this.#position().commitLsn),
      positionToHex(this.#position()),
    ];
    if (this.#random.int(0, 2) === 0) args.push('lane:a', 'noted');
    return this.#call(FLOOR_SCRIPT, floorScript, [this.#lane()], args);
  }

  async #call(
    script: string,
    model: (call: ScriptCall) => Reply,
    keys: readonly string[],
    args: readonly (string | Buffer)[],
  ): Promise<Step> {
    const real = await this.#ask(script, keys, args);
    let modelled: Reply | Refusal;
    try {
      modelled = model({ state: this.#state, keys, args, writeRefusal: this.#writeRefusal });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      modelled = error;
    }
    const told = `${model.name} ${keys.join(' ')} ${args.map((arg) => (typeof arg === 'string' ? arg : '…')).join(' ')}`;
    const { modelled: state, real: realState } = await this.#look('');
    return {
      told,
      word: wordOf(real),
      modelled: { ...state, answer: modelled instanceof Refusal ? modelled.message : unordered(modelled) },
      real: { ...realState, answer: real },
    };
  }

  /** The text of an error reply, or the answer. */
  async #ask(script: string, keys: readonly string[], args: readonly (string | Buffer)[]): Promise<unknown> {
    try {
      return unordered((await this.#redis.eval(script, keys.length, ...keys, ...args)) as Reply);
    } catch (error) {
      return (error as Error).message.replace(/ script: [0-9a-f]{40}.*$/s, '');
    }
  }

  /** What stands under every key, here and there. */
  async #look(word: string): Promise<Step> {
    const modelled: Record<string, unknown> = {};
    const real: Record<string, unknown> = {};
    const { hashes, streams, others } = this.#state;
    for (const key of LANES) {
      modelled[key] = others.has(key) ? WRONGTYPE : Object.fromEntries(hashes.get(key) ?? []);
      real[key] = await this.#redis.hgetall(key).catch((error: Error) => error.message);
    }
    for (const key of STREAMS) {
      modelled[key] = others.has(key) ? WRONGTYPE : (streams.get(key) ?? []);
      const entries = await this.#redis.xrange(key, '-', '+').catch((error: Error) => error.message);
      real[key] = typeof entries === 'string' ? entries : entries.map(([, fields]) => pairs(fields));
    }
    return { told: word, word, modelled, real };
  }

  #lane(): string {
    return this.#pick(LANES[0], LANES[0], LANES[0], LANES[1]);
  }

  /** Mostly what the lane has. */
  #epoch(): string {
    return this.#pick('1', '1', '1', '1', '1', '1', '2');
  }

  #fence(): string {
    const own = this.#state.hashes.get(LANES[0])?.get('fence') ?? '1';
    return this.#pick(own, own, own, own, String(Number(own) + 1), String(Math.max(0, Number(own) - 1)));
  }

  /** Mostly where the lane stands; on both sides of 2^32 and 2^53, where numbers of Lua end. */
  #position(): Position {
    const watermark = this.#state.hashes.get(LANES[0])?.get('watermark');
    if (watermark !== undefined && this.#random.int(0, 2) > 0)
      return {
        commitLsn: toLsn(BigInt(`0x${watermark.slice(0, 16)}`)),
        ordinal: Number.parseInt(watermark.slice(16), 16),
      };
    return {
      commitLsn: toLsn(
        this.#random.pick([0n, 0xaan, 0xabn, 0xffff_fff0n, 0x1_0000_0000n, 0x20_0000_0000_0001n]),
      ),
      ordinal: this.#random.int(0, 20),
    };
  }

  #pick(...list: readonly [string, ...string[]]): string {
    return this.#random.pick(list);
  }
}

interface Step {
  readonly told: string;
  /** The first word of the answer. */
  readonly word: string;
  readonly modelled: Readonly<Record<string, unknown>>;
  readonly real: Readonly<Record<string, unknown>>;
}

function wordOf(answer: unknown): string {
  if (typeof answer === 'string' && answer !== 'OK') return answer.split(' ')[0] as string;
  const refusal = Array.isArray(answer) && typeof answer[0] === 'number' ? (answer[2] as unknown) : undefined;
  return typeof refusal === 'string' ? (refusal.split(' ')[0] as string) : 'answer';
}

const LANES = ['lane', 'other lane'] as const;
const STREAMS = ['a', 'b', 'c'] as const;

/** A hash comes in an order of its own. */
function unordered(reply: Reply): unknown {
  if (!Array.isArray(reply) || reply.length < 4) return reply;
  return pairs(reply.map(String));
}

function pairs(list: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {};
  for (let at = 0; at + 1 < list.length; at += 2) record[list[at] as string] = list[at + 1] as string;
  return record;
}
