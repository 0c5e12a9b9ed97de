import { parseEntryId } from '../sink/stream-reader.ts';
import type { SlowestGroup, TrimRule, TrimStep } from '../sink/stream-trimmer.ts';

/** A consumer group that keeps due entries in a stream. */
export interface HeldUp {
  readonly stream: string;
  readonly group: string;
  /** Since the oldest entry that it has not acknowledged was appended. */
  readonly unreadMs: number;
  /** Delivered and not acknowledged. */
  readonly pending: number;
  /** Not delivered; null where Redis doesn't tell. */
  readonly lag: number | null;
  /** Of the stream. */
  readonly entries: number;
}

/** What one round over all streams did and saw. Pure; bounded, however many streams there are. */
export class TrimTally {
  readonly #rule: TrimRule;
  readonly #heldUpWarnMs: number;
  readonly #heldUp: HeldUp[] = [];
  readonly #slowestMs = new Map<string, number>();
  readonly #withoutGroups: string[] = [];
  readonly #failures = new Map<string, Error>();
  entries = 0;
  /** Those that were looked at. */
  streams = 0;
  trimmedStreams = 0;
  withoutGroupsCount = 0;
  failureCount = 0;
  heldUpCount = 0;

  constructor(rule: TrimRule, heldUpWarnMs: number) {
    this.#rule = rule;
    this.#heldUpWarnMs = heldUpWarnMs;
  }

  /** `first`, `last`: the first and the last step of the round on the stream. */
  add(stream: string, { first, last, removed }: { first: TrimStep; last: TrimStep; removed: number }): void {
    this.streams += 1;
    this.entries += removed;
    if (removed > 0) this.trimmedStreams += 1;
    if (this.#rule.mode === 'safe' && first.length > 0 && first.groups === 0) {
      this.withoutGroupsCount += 1;
      if (this.#withoutGroups.length < EXAMPLES_MAX) this.#withoutGroups.push(stream);
    }
    if (first.slowest !== null) this.#addSlowest(stream, first, last.length, first.slowest);
  }

  addFailure(stream: string, error: Error): void {
    this.streams += 1;
    this.failureCount += 1;
    if (this.#failures.size < EXAMPLES_MAX) this.#failures.set(stream, error);
  }

  /** The oldest unacknowledged entry of each group that is the slowest of some stream: its age, 0 for none. */
  get slowestMs(): ReadonlyMap<string, number> {
    return this.#slowestMs;
  }

  /** Those that held on the longest; `heldUpCount` tells how many there are. */
  get heldUp(): readonly HeldUp[] {
    return this.#heldUp;
  }

  get withoutGroups(): readonly string[] {
    return this.#withoutGroups;
  }

  get failures(): ReadonlyMap<string, Error> {
    return this.#failures;
  }

  #addSlowest(stream: string, { nowMs }: TrimStep, length: number, slowest: SlowestGroup): void {
    const { name, unreadId, pending, lag } = slowest;
    const unreadMs = unreadId === null ? 0 : Math.max(0, nowMs - Number(parseEntryId(unreadId)[0]));
    if (this.#slowestMs.has(name) || this.#slowestMs.size < GROUPS_MAX)
      this.#slowestMs.set(name, Math.max(unreadMs, this.#slowestMs.get(name) ?? 0));
    if (unreadId === null || !this.#isDue(stream, unreadMs, length) || unreadMs < this.#heldUpWarnMs) return;
    this.heldUpCount += 1;
    this.#heldUp.push({ stream, group: name, unreadMs, pending, lag, entries: length });
    this.#heldUp.sort((a, b) => b.unreadMs - a.unreadMs);
    this.#heldUp.length = Math.min(this.#heldUp.length, EXAMPLES_MAX);
  }

  #isDue(stream: string, ageMs: number, length: number): boolean {
    const { ageMaxMs, lengthMax } = this.#rule.limitsOf(stream);
    return (ageMaxMs !== null && ageMs >= ageMaxMs) || (lengthMax !== null && length > lengthMax);
  }
}

const EXAMPLES_MAX = 10;
/** Each is a series of its own for whoever collects the metrics. */
const GROUPS_MAX = 50;
