import type { Settings } from '../config/settings.ts';
import { toWalrelayError } from '../core/walrelay-error.ts';
import { compileOutbox, type EventRouter, type Outbox } from '../route/outbox.ts';
import { checkToStream } from '../route/check-to-stream.ts';
import { type DeadLetterEntry, DeadLetterReader } from '../sink/dead-letter-reader.ts';
import { laneKeyOf } from '../sink/lane-key.ts';
import { type PackedShapes, packShapes } from '../sink/packed-shapes.ts';
import { PublishBatch } from '../sink/publish-batch.ts';
import { readPublishReply } from '../sink/publisher.ts';
import { isAboutOneEvent, replyError, replyText } from '../sink/redis-reply.ts';
import { redriveAcrossScript, redriveScript } from '../sink/redrive-script.ts';
import type { LetterGround } from './find-letters.ts';
import type { LetterPlace } from './letter-id.ts';

/** What became of a dead letter. `left`: it still stands, and why. */
export type Redriven =
  | { readonly kind: 'redriven'; readonly stream: string }
  | { readonly kind: 'gone' }
  | { readonly kind: 'left'; readonly why: string };

/**
 * Brings dead letters to the streams that they are routed to now, one at a time, so that memory holds one event. Letter and
 * stream in one lane: in one script, so exactly once. Across lanes of a cluster: first the entry, then the letter goes; whoever
 * is interrupted in between brings it twice.
 */
export class Redriver {
  readonly #settings: Settings;
  readonly #ground: LetterGround;
  readonly #toStream: string | null;
  readonly #nowMs: () => number;
  readonly #benches = new Map<string, Bench>();

  /** `toStream`: where all of them go, whatever the routes say. */
  constructor(settings: Settings, ground: LetterGround, toStream: string | null, nowMs: () => number) {
    if (toStream !== null) checkToStream(toStream, settings);
    this.#settings = settings;
    this.#ground = ground;
    this.#toStream = toStream;
    this.#nowMs = nowMs;
  }

  async redrive(place: LetterPlace): Promise<Redriven> {
    const letter = await new DeadLetterReader(this.#ground.redisOf(place.key), place.key).read(place.entryId);
    if (letter === null) return { kind: 'gone' };
    const bench = this.#benchOf(letter.outbox);
    if (bench === null) return left(`the settings have no outbox ${JSON.stringify(letter.outbox)}`);
    if (letter.content !== null)
      return left('its message can’t be read: emit the event again as it should be, then discard this');
    const lacking = bench.outbox.columns.filter((column) => !letter.columns.has(column));
    if (lacking.length > 0)
      return left(`it lacks the column ${lacking.join(', ')}, which was mapped later: see walrelay replay`);
    const batch = this.#batchOf(bench, letter);
    try {
      const row = bench.outbox.columns.map((column) => letter.columns.get(column)?.toString('hex') ?? null);
      if (batch.add(row, 0) === 'dropped') return left('a route leaves such events out: discard it');
    } catch (thrown) {
      const error = toWalrelayError(thrown);
      if (error.disposition !== 'poison') throw error;
      return left(`${error.code}: ${error.message}`);
    }
    return this.#move(letter, batch);
  }

  async #move(letter: DeadLetterEntry, batch: PublishBatch): Promise<Redriven> {
    const stream = batch.streamOf(0);
    const { packed } = batch.seal();
    const at = new Date(this.#nowMs()).toISOString();
    const isTogether = this.#laneOf(stream) === this.#laneOf(letter.key);
    const target = this.#ground.redisOf(stream);
    const doing = 'a redrive';
    const reply = isTogether
      ? await target.command(
          doing,
          'EVAL',
          redriveScript(batch.shapes),
          2,
          stream,
          letter.key,
          packed,
          at,
          letter.entryId,
        )
      : await target.command(doing, 'EVAL', redriveAcrossScript(batch.shapes), 1, stream, packed, at);
    const [moved, refusal] = readPublishReply(reply);
    if (refusal !== null) {
      if (!isAboutOneEvent(refusal)) throw replyError(refusal, 'an event');
      return left(`Redis refused it for ${stream}: ${replyText(refusal)}`);
    }
    if (moved === 0) return { kind: 'gone' };
    if (!isTogether) await removeLetter(this.#ground, letter);
    return { kind: 'redriven', stream };
  }

  #laneOf(key: string): string {
    const { metaKey, redisMode } = this.#settings;
    return laneKeyOf(key, metaKey, redisMode === 'cluster');
  }

  #benchOf(name: string): Bench | null {
    const known = this.#benches.get(name);
    if (known !== undefined) return known;
    const mapping = this.#settings.outboxes.find((outbox) => outbox.name === name);
    if (mapping === undefined) return null;
    const outbox = compileOutbox(mapping, this.#settings);
    const toStream = this.#toStream;
    const router: Bench['router'] =
      toStream === null ? outbox.createRouter() : { route: () => ({ name: toStream, shape: 0 }) };
    const bench: Bench = {
      outbox,
      router,
      shapes: packShapes(outbox.shapes, { hasPosition: false }),
      batches: new Map(),
    };
    this.#benches.set(name, bench);
    return bench;
  }

  /** An empty one, for rows whose columns are of the letter's types: those of the table may have changed since. */
  #batchOf({ outbox, router, shapes, batches }: Bench, letter: DeadLetterEntry): PublishBatch {
    const kinds = outbox.columns.map((column) => letter.kinds.get(column) ?? 'text');
    const key = kinds.join();
    const known = batches.get(key);
    known?.clear();
    if (known !== undefined) return known;
    const encodings = outbox.columns.map(() => 'hex' as const);
    const batch = new PublishBatch(this.#settings, { shapes, encodings, kinds, router });
    batches.set(key, batch);
    return batch;
  }
}

interface Bench {
  readonly outbox: Outbox;
  readonly router: Pick<EventRouter, 'route'> | { route(): { name: string; shape: number } };
  readonly shapes: PackedShapes;
  /** By the kinds of the columns. */
  readonly batches: Map<string, PublishBatch>;
}

/** False when it was not there any more. */
export async function removeLetter(
  { redisOf }: LetterGround,
  { key, entryId }: LetterPlace,
): Promise<boolean> {
  return (await redisOf(key).command('removing a dead letter', 'XDEL', key, entryId)) === 1;
}

function left(why: string): Redriven {
  return { kind: 'left', why };
}
