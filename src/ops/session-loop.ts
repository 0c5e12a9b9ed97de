import type { Settings } from '../config/settings.ts';
import { Alarm } from '../core/alarm.ts';
import { backoffMs } from '../core/backoff.ts';
import type { ErrorCode } from '../core/error-codes.ts';
import { toWalrelayError, WalrelayError } from '../core/walrelay-error.ts';
import type { Logger } from './logger.ts';

/**
 * One session after the other, until a stop is asked for or until a session ends with something that only a person
 * can mend. The only place that decides between trying again and giving up, for every kind of relay.
 */
export class SessionLoop {
  readonly #options: SessionLoopOptions;
  readonly #backoff = new Alarm();
  readonly #warned = new Set<string>();
  #session: LoopedSession | null = null;
  #isStopRequested = false;
  /** A stop was asked for while a session did its work: what it has in hand must be finished or be told of. */
  #isDrainOwed = false;
  #lastError: WalrelayError | null = null;
  #hasWorked = false;
  #failureCount = 0;

  constructor(options: SessionLoopOptions) {
    this.#options = options;
  }

  get status(): SessionLoopStatus {
    const isBackingOff = this.#backoff.isSleeping;
    const nowMs = performance.now();
    const silentMs = isBackingOff ? 0 : nowMs - (this.#session?.lastSignMs ?? nowMs);
    return {
      phase: isBackingOff ? 'backoff' : (this.#session?.phase ?? 'stopped'),
      // Every wait has a limit of its own; whoever outlasts them all twice is stuck, whatever it believes.
      isAlive: silentMs < 2 * this.#options.longestWaitMs,
      lastSignMsAgo: Math.round(silentMs),
      lastError:
        this.#lastError === null ? null : { code: this.#lastError.code, message: this.#lastError.message },
    };
  }

  /** The session finishes what is in flight; no other follows. */
  requestStop(): void {
    this.#isStopRequested = true;
    this.#isDrainOwed = this.#session?.phase === this.#options.workPhase && !this.#backoff.isSleeping;
    this.#session?.requestStop();
    this.#backoff.ring();
  }

  /** Resolves after a stop; throws the WalrelayError that needs a person. */
  async run(): Promise<void> {
    const { settings, logger, metrics } = this.#options;
    const startedAtMs = performance.now();
    while (!this.#isStopRequested) {
      const session = this.#options.open(this.#events);
      this.#session = session;
      metrics.recordSession();
      metrics.setPhase('connecting');
      try {
        await session.run();
        break;
      } catch (thrown) {
        const error = toWalrelayError(thrown);
        this.#lastError = error;
        metrics.recordSessionError(error.code);
        if (error.disposition !== 'retry') {
          if (this.#options.isMended?.(error) !== true) throw error;
          if (!this.#isStopRequested) {
            logger.info({ err: error }, 'session ended; the next one takes the event aside');
            continue;
          }
        }
        if (this.#isStopRequested) {
          if (this.#isDrainOwed) throw this.#drainFailed(error);
          // It had not begun its work, or was being drained for a reason of its own.
          logger.info({ err: error }, 'the session ended while it was asked to stop');
          break;
        }
        this.#failureCount += 1;
        const waitedMs = performance.now() - startedAtMs;
        if (!this.#hasWorked && settings.startTimeoutMs > 0 && waitedMs > settings.startTimeoutMs)
          throw error;
        const pauseMs = backoffMs(this.#failureCount - 1, settings, this.#options.random());
        this.#logRetry(error, pauseMs);
        metrics.setPhase('backoff');
        await this.#backoff.sleep(pauseMs);
      }
    }
    metrics.setPhase('stopped');
  }

  readonly #events: SessionEvents = {
    warnOnce: (warning) => {
      if (!this.#warned.has(warning)) this.#options.logger.warn(warning);
      this.#warned.add(warning);
    },
    works: () => {
      this.#hasWorked = true;
    },
    // Being connected is no progress: a full Redis lets every session begin, and refuses its first batch.
    progressed: () => {
      this.#failureCount = 0;
      this.#lastError = null;
    },
  };

  /** Whoever asked for a stop believes that everything was finished, unless the exit code says otherwise. */
  #drainFailed(error: WalrelayError): WalrelayError {
    return new WalrelayError(
      'DRAIN_FAILED',
      `what was in flight could not be finished (${error.code}): ${error.message}`,
      { cause: error, hint: `Nothing is lost: ${this.#options.undrained}.` },
    );
  }

  /** Level follows persistence: the first failure is everyday life, the tenth in a row is trouble. */
  #logRetry(error: WalrelayError, pauseMs: number): void {
    const count = this.#failureCount;
    const level = count >= 10 ? 'error' : count >= 3 ? 'warn' : 'info';
    this.#options.logger[level]({ err: error, failures: count, pauseMs }, 'session ended; a new one follows');
  }
}

export interface SessionLoopOptions {
  readonly settings: Pick<Settings, 'startTimeoutMs' | 'backoffMinMs' | 'backoffMaxMs'>;
  readonly logger: Logger;
  readonly metrics: {
    recordSession(): void;
    recordSessionError(code: ErrorCode): void;
    setPhase(phase: 'connecting' | 'backoff' | 'stopped'): void;
  };
  /** The longest that a session may wait for anything without a sign. */
  readonly longestWaitMs: number;
  /** A session's phase while it has things in hand. */
  readonly workPhase: string;
  /** What becomes of what a session could not finish: the end of a sentence. */
  readonly undrained: string;
  /** In [0, 1). */
  readonly random: () => number;
  /** Whether the next session can go on at once, though this one ended with what needs a person. */
  readonly isMended?: (error: WalrelayError) => boolean;
  open(events: SessionEvents): LoopedSession;
}

/** What a session tells the loop. */
export interface SessionEvents {
  readonly warnOnce: (warning: string) => void;
  /** It has reached its servers and does its work: from now on it is never given up for not starting. */
  readonly works: () => void;
  readonly progressed: () => void;
}

export interface LoopedSession {
  readonly phase: string;
  /** When something last moved, performance.now(). */
  readonly lastSignMs: number;
  run(): Promise<void>;
  requestStop(): void;
}

export interface SessionLoopStatus {
  readonly phase: string;
  /** False when nothing has moved for longer than any wait may last. */
  readonly isAlive: boolean;
  readonly lastSignMsAgo: number;
  readonly lastError: { readonly code: string; readonly message: string } | null;
}
