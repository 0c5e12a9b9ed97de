import type { Settings } from '../config/settings.ts';
import { parseLsn } from '../core/lsn.ts';
import { formatPosition, type Position, positionToHex } from '../core/position.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { deadLetterStreams } from '../sink/dead-letter-streams.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { RedisNodes } from '../sink/redis-nodes.ts';
import { readRecentLetters } from './recent-dead-letters.ts';

/**
 * What is remembered from session to session of events that can't pass, where they go to the dead letters: those that Redis
 * refused, so that the next session takes them aside, and how many there were lately. In memory only: after a crash they are
 * refused once more, and the count is taken from the dead letters themselves.
 */
export class PoisonPolicy {
  readonly #settings: PoisonSettings;
  readonly #nowMs: () => number;
  /** By position. */
  readonly #refusals = new Map<string, WalrelayError>();
  /** When each of the newest dead letters was decided on, by its position: one that is sent again counts once. */
  readonly #recent = new Map<string, number>();

  constructor(settings: PoisonSettings, nowMs: () => number) {
    this.#settings = settings;
    this.#nowMs = nowMs;
  }

  /** Counts what stands in the dead letters already, under the fence: it may be of a relay before this one. */
  async learnFrom(lane: Pick<LaneState, 'parts'>, redis: RedisNodes): Promise<void> {
    const { poison, deadLetterStream, deadLettersMax: max } = this.#settings;
    if (poison !== 'dead-letter') return;
    await Promise.all(
      deadLetterStreams(deadLetterStream, lane).map((stream) =>
        readRecentLetters(
          redis.nodeOf(stream).writer,
          stream,
          { sinceMs: this.#sinceMs, max },
          (position, atMs) => this.learn(position, atMs),
        ),
      ),
    );
  }

  /** False nearly always: then nothing has to be looked up for an event. */
  get hasRefusals(): boolean {
    return this.#refusals.size > 0;
  }

  refusalAt(position: Position): WalrelayError | undefined {
    return this.#refusals.get(positionToHex(position));
  }

  /**
   * Whether a session's end is one event's fault that the next session can take aside. An event that was to be taken aside
   * already, and is refused again, is not.
   */
  takesAside(error: WalrelayError): boolean {
    if (this.#settings.poison !== 'dead-letter') return false;
    const { lsn, seq } = error.facts;
    if (error.code !== 'EVENT_REFUSED' || typeof lsn !== 'string' || typeof seq !== 'string') return false;
    const hex = positionToHex({ commitLsn: parseLsn(lsn), ordinal: Number(seq) });
    if (this.#refusals.has(hex)) return false;
    this.#refusals.set(hex, error);
    return true;
  }

  /** Counts an event that goes to the dead letters. Throws DEAD_LETTER_LIMIT when there were too many lately. */
  admit(position: Position, error: WalrelayError): void {
    const hex = positionToHex(position);
    if (this.#recent.has(hex)) return;
    const { deadLettersMax, deadLetterWindowMs } = this.#settings;
    if (this.#recent.size >= deadLettersMax) this.#forgetOld();
    if (this.#recent.size >= deadLettersMax) {
      throw new WalrelayError(
        'DEAD_LETTER_LIMIT',
        `${this.#recent.size} events became dead letters within ${deadLetterWindowMs / 1000} s; the next at ` +
          `${formatPosition(position)} can't pass either (${error.code}): ${error.message}`,
        { cause: error, facts: { reason: error.code, deadLettersMax } },
      );
    }
    this.#recent.set(hex, this.#nowMs());
  }

  /** A dead letter that was found in Redis: of a relay before this one. */
  learn(position: Position, atMs: number): void {
    const hex = positionToHex(position);
    if (!this.#recent.has(hex)) this.#recent.set(hex, atMs);
  }

  /** It stands in the dead letters. */
  settled(position: Position): void {
    this.#refusals.delete(positionToHex(position));
  }

  get #sinceMs(): number {
    return this.#nowMs() - this.#settings.deadLetterWindowMs;
  }

  #forgetOld(): void {
    const sinceMs = this.#sinceMs;
    for (const [hex, atMs] of this.#recent) if (atMs < sinceMs) this.#recent.delete(hex);
  }
}

export type PoisonSettings = Pick<
  Settings,
  'poison' | 'deadLetterStream' | 'deadLettersMax' | 'deadLetterWindowMs'
>;
