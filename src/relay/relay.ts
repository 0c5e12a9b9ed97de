import type { Settings } from '../config/settings.ts';
import { backoffMs } from '../core/backoff.ts';
import { toWalrelayError, type WalrelayError } from '../core/walrelay-error.ts';
import type { Logger } from '../ops/logger.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import { outboxShape } from './outbox-shape.ts';
import { Session } from './session.ts';

/**
 * The daemon: one session after the other, until it is asked to stop or until a session ends with something that
 * only a person can mend. The only place that decides between trying again and giving up.
 */
export class Relay {
  readonly #options: RelayOptions;
  #session: Session | null = null;
  #isStopRequested = false;
  #wake: (() => void) | null = null;
  #isBackingOff = false;
  #lastError: WalrelayError | null = null;
  #hasStreamed = false;
  #failureCount = 0;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  get status(): RelayStatus {
    const phase = this.#isBackingOff ? 'backoff' : (this.#session?.phase ?? 'stopped');
    const { settings } = this.#options;
    const silentMs = this.#isBackingOff
      ? 0
      : performance.now() - (this.#session?.lastSignMs ?? performance.now());
    // Every wait has a limit of its own; whoever outlasts them all twice is stuck, whatever it believes.
    const patienceMs =
      2 *
      Math.max(
        settings.serverSilenceMs,
        settings.redisTimeoutMs,
        settings.drainTimeoutMs,
        settings.statusIntervalMs,
        settings.standbyPollMs,
      );
    return {
      phase,
      isStreaming: phase === 'streaming',
      isAlive: silentMs < patienceMs,
      lastSignMsAgo: Math.round(silentMs),
      lastError:
        this.#lastError === null ? null : { code: this.#lastError.code, message: this.#lastError.message },
    };
  }

  /** Stop reading, finish what is in flight, confirm, close. */
  requestStop(): void {
    this.#isStopRequested = true;
    this.#session?.requestStop();
    this.#wake?.();
  }

  /** Resolves after a stop; throws the WalrelayError that needs a person. */
  async run(): Promise<void> {
    const { settings, logger, metrics } = this.#options;
    const shape = outboxShape(settings);
    const startedAtMs = performance.now();
    const warned = new Set<string>();
    const warnOnce = (warning: string) => {
      if (!warned.has(warning)) logger.warn(warning);
      warned.add(warning);
    };

    while (!this.#isStopRequested) {
      this.#session = new Session({
        settings,
        shape,
        logger,
        metrics,
        holder: this.#options.holder,
        warnOnce,
        streaming: () => {
          this.#hasStreamed = true;
        },
        progressed: () => this.#progressed(),
      });
      metrics.recordSession();
      metrics.setPhase('connecting');
      try {
        await this.#session.run();
        break;
      } catch (thrown) {
        const error = toWalrelayError(thrown);
        this.#lastError = error;
        metrics.recordSessionError(error.code);
        metrics.forgetSession();
        if (error.disposition !== 'retry') throw error;
        if (this.#isStopRequested) {
          logger.warn(
            { err: error },
            'stopped without a drain: what was not confirmed is read again at the next start',
          );
          break;
        }
        this.#failureCount += 1;
        const waitedMs = performance.now() - startedAtMs;
        if (!this.#hasStreamed && settings.startTimeoutMs > 0 && waitedMs > settings.startTimeoutMs)
          throw error;
        const pauseMs = backoffMs(this.#failureCount - 1, settings, this.#options.random());
        this.#logRetry(error, pauseMs);
        await this.#backOff(pauseMs);
      }
    }
    metrics.setPhase('stopped');
  }

  /** Streaming alone is no progress: a full Redis lets every session stream, and refuses its first batch. */
  #progressed(): void {
    this.#failureCount = 0;
    this.#lastError = null;
  }

  /** Level follows persistence: the first failure is everyday life, the tenth in a row is trouble. */
  #logRetry(error: WalrelayError, pauseMs: number): void {
    const count = this.#failureCount;
    const level = count >= 10 ? 'error' : count >= 3 ? 'warn' : 'info';
    this.#options.logger[level]({ err: error, failures: count, pauseMs }, 'session ended; a new one follows');
  }

  async #backOff(pauseMs: number): Promise<void> {
    this.#isBackingOff = true;
    this.#options.metrics.setPhase('backoff');
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, pauseMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
    this.#isBackingOff = false;
  }
}

export interface RelayOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly metrics: RelayMetrics;
  readonly holder: string;
  /** In [0, 1). */
  random(): number;
}

export interface RelayStatus {
  readonly phase: string;
  readonly isStreaming: boolean;
  /** False when nothing has moved for longer than any wait may last. */
  readonly isAlive: boolean;
  readonly lastSignMsAgo: number;
  readonly lastError: { readonly code: string; readonly message: string } | null;
}
