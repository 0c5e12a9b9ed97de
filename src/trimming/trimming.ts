import { redisTarget } from '../config/redis-target.ts';
import type { OutboxSettings, Settings } from '../config/settings.ts';
import { trimAgeMs } from '../config/trim-settings.ts';
import { Alarm } from '../core/alarm.ts';
import { registerKey } from '../core/own-keys.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import type { Logger } from '../ops/logger.ts';
import type { TrimMetrics } from '../ops/trim-metrics.ts';
import type { StreamLengths } from '../route/stream-lengths.ts';
import { laneKeyOf } from '../sink/lane-key.ts';
import { RedisNodes } from '../sink/redis-nodes.ts';
import { StreamRegister } from '../sink/stream-register.ts';
import { isOverForTrimming, StreamTrimmer, type TrimHold, type TrimRule } from '../sink/stream-trimmer.ts';
import { TrimReport } from './trim-report.ts';
import { runTrimRound } from './trim-round.ts';
import { TrimTally } from './trim-tally.ts';

/**
 * Trims the streams beside the sessions, on connections of its own, with the fence of the newest one that claimed the slot:
 * a relay that was replaced is refused, and trims nothing until it claims again. It goes on between two sessions: a Redis
 * that is full ends each of them, and only trimming helps it. Whatever becomes of it, the relay goes on. Which streams: those
 * that this relay has written to since trimming was switched on, by the register in Redis.
 */
export class Trimming {
  readonly #options: TrimmingOptions;
  readonly #metrics: TrimMetrics;
  readonly #mode: TrimRule['mode'];
  readonly #report: TrimReport;
  readonly #wake = new Alarm();
  /** Streams that the session writes to. */
  readonly #known = new Set<string>();
  #hasForgotten = false;
  /** Of these, what the register lacks. */
  #fresh: string[] = [];
  /** Of the newest session that claimed the slot. */
  #held: Held | null = null;
  #redis: RedisNodes | null = null;
  #isFailing = false;
  #isStopped = false;

  private constructor(options: TrimmingOptions, mode: TrimRule['mode']) {
    this.#options = options;
    this.#metrics = options.createMetrics();
    this.#mode = mode;
    this.#report = new TrimReport(options.logger, this.#metrics);
  }

  /** Null where nothing is to be trimmed. */
  static start(options: TrimmingOptions): Trimming | null {
    const { trim, outboxes } = options.settings;
    if (trim === 'none') {
      if (outboxes.some(hasLength))
        options.logger.warn('a trimMaxLength is set, and nothing is trimmed: WALRELAY_TRIM is none');
      return null;
    }
    const trimming = new Trimming(options, trim);
    void trimming.#run();
    return trimming;
  }

  /** A session has claimed the slot. */
  hold(hold: TrimHold, lengths: StreamLengths): void {
    const { settings } = this.#options;
    const rule: TrimRule = {
      mode: this.#mode,
      ignoredGroups: settings.trimIgnoredGroups,
      limitsOf: (stream) => {
        const length = lengths.of(stream);
        const ageMs = trimAgeMs(settings, length);
        return { lengthMax: length === 'off' ? null : length, ageMaxMs: ageMs === 'off' ? null : ageMs };
      },
    };
    this.#held = { trimmer: new StreamTrimmer(rule, hold), rule };
    this.#report.overruled(lengths.overruled);
    // Told anew by its router; another relay may have struck them off the register meanwhile.
    this.#known.clear();
    this.#hasForgotten = false;
  }

  /** A stream that events are routed to. Called once for each, and again when the router had forgotten it. */
  note(stream: string): void {
    if (this.#known.has(stream)) return;
    if (this.#known.size >= KNOWN_STREAMS_MAX) {
      this.#known.clear();
      this.#hasForgotten = true;
    }
    this.#known.add(stream);
    this.#fresh.push(stream);
    if (!this.#isFailing) this.#wake.ring();
  }

  stop(): void {
    this.#isStopped = true;
    this.#metrics.forget();
    this.#redis?.destroy();
    this.#wake.ring();
  }

  async #run(): Promise<void> {
    const { settings } = this.#options;
    let dueAtMs = performance.now() + settings.trimIntervalMs;
    while (!this.#isStopped) {
      await this.#wake.sleep(Math.max(0, dueAtMs - performance.now()));
      if (this.#isStopped) break;
      // Woken before its time only to note a stream; while that fails, at the next round.
      const isDue = performance.now() >= dueAtMs;
      if (this.#held === null || (this.#isFailing && !isDue)) {
        if (isDue) dueAtMs = performance.now() + settings.trimIntervalMs;
        continue;
      }
      const isDone = await this.#work(this.#held, isDue);
      if (isDue) dueAtMs = performance.now() + (isDone ? settings.trimIntervalMs : 0);
    }
    this.#redis?.destroy();
  }

  /** False when a round should follow at once. */
  async #work(held: Held, isDue: boolean): Promise<boolean> {
    try {
      const redis = await this.#connect();
      this.#isFailing = !(await this.#noteFresh(redis));
      return isDue ? await this.#round(redis, held) : true;
    } catch (thrown) {
      this.#redis?.destroy();
      this.#redis = null;
      if (this.#isStopped) return true;
      const error = toWalrelayError(thrown);
      if (!isOverForTrimming(error)) {
        this.#isFailing = true;
        this.#report.failed(error);
      } else if (this.#held === held) {
        // Not one of our own sessions that came next: that one has told its fence.
        this.#held = null;
        this.#metrics.forget();
        this.#options.logger.debug({ code: error.code }, 'trims no more: another session has claimed');
      }
      return true;
    }
  }

  async #connect(): Promise<RedisNodes> {
    if (this.#redis !== null) return this.#redis;
    const { settings } = this.#options;
    const redis = await RedisNodes.open(redisTarget(settings), settings.redisTimeoutMs);
    this.#redis = redis;
    // Lost while nothing is asked of it: the next round opens another one.
    void redis.ended.then(() => {
      redis.destroy();
      if (this.#redis === redis) this.#redis = null;
    });
    if (this.#isStopped) redis.destroy();
    return redis;
  }

  /** False when Redis has no room for it just now: those that it knows can be trimmed all the same. */
  async #noteFresh(redis: RedisNodes): Promise<boolean> {
    const fresh = this.#fresh;
    if (fresh.length === 0) return true;
    this.#fresh = [];
    try {
      await this.#registerOn(redis).add(fresh);
      return true;
    } catch (error) {
      this.#fresh.unshift(...fresh);
      if (error instanceof WalrelayError && error.code === 'REDIS_FULL') return false;
      throw error;
    }
  }

  #registerOn(redis: RedisNodes): StreamRegister {
    const { metaKey } = this.#options.settings;
    return new StreamRegister(redis.nodeOf(registerKey(metaKey)).writer, metaKey);
  }

  async #round(redis: RedisNodes, { trimmer, rule }: Held): Promise<boolean> {
    const { metaKey, redisMode, trimHeldUpWarnMs } = this.#options.settings;
    const startedMs = performance.now();
    const register = this.#registerOn(redis);
    const tally = new TrimTally(rule, trimHeldUpWarnMs);
    const isDone = await runTrimRound(register.pages(), {
      trimmer,
      tally,
      nodeOf: (key) => redis.nodeOf(key).writer,
      laneKeyOf: (stream) => laneKeyOf(stream, metaKey, redisMode === 'cluster'),
      missing: async (stream) => {
        // One that the session writes to comes back without being noted again.
        if (!this.#known.has(stream) && !this.#hasForgotten) await register.remove(stream);
      },
      isStopped: () => this.#isStopped,
    });
    if (!this.#isStopped) this.#report.round(tally, (performance.now() - startedMs) / 1000);
    return isDone;
  }
}

export interface TrimmingOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  /** Only there when something is to be trimmed. */
  createMetrics(): TrimMetrics;
}

interface Held {
  readonly trimmer: StreamTrimmer;
  readonly rule: TrimRule;
}

function hasLength({ trimMaxLength, routes }: OutboxSettings): boolean {
  return [trimMaxLength, ...routes.map((route) => route.trimMaxLength ?? 'off')].some(
    (length) => length !== 'off',
  );
}

/** Names come from data: bounded, as in the router. */
const KNOWN_STREAMS_MAX = 50_000;
