import type { Settings } from '../config/settings.ts';
import { backoffMs } from '../core/backoff.ts';
import { toWalrelayError, type WalrelayError } from '../core/walrelay-error.ts';
import type { Logger } from '../ops/logger.ts';
import type { PollingMetrics } from '../ops/polling-metrics.ts';
import { Alarm } from './alarm.ts';
import { polledTable } from './polled-table.ts';
import { PollingSession } from './polling-session.ts';

/**
 * The polling daemon: one session after the other, until it is asked to stop or until a session ends with something that
 * only a person can mend. The only place of polling that decides between trying again and giving up.
 */
export class PollingRelay {
  readonly #options: PollingRelayOptions;
  readonly #backoff = new Alarm();
  #session: PollingSession | null = null;
  #isStopRequested = false;
  #lastError: WalrelayError | null = null;
  #lastSignMs = performance.now();
  #hasPolled = false;
  #failureCount = 0;

  constructor(options: PollingRelayOptions) {
    this.#options = options;
  }

  get status(): PollingStatus {
    const { settings } = this.#options;
    const isBackingOff = this.#backoff.isSleeping;
    const phase = isBackingOff ? 'backoff' : (this.#session?.phase ?? 'stopped');
    const silentMs = isBackingOff ? 0 : performance.now() - this.#lastSignMs;
    // Every wait has a limit of its own; whoever outlasts them all twice is stuck, whatever it believes.
    const patienceMs =
      2 *
      Math.max(
        settings.serverSilenceMs,
        settings.redisTimeoutMs,
        settings.drainTimeoutMs,
        settings.pollIntervalMs,
      );
    return {
      phase,
      isPolling: phase === 'polling',
      isAlive: silentMs < patienceMs,
      lastSignMsAgo: Math.round(silentMs),
      lastError:
        this.#lastError === null ? null : { code: this.#lastError.code, message: this.#lastError.message },
    };
  }

  /** Finish the batches in hand, commit them, close. */
  requestStop(): void {
    this.#isStopRequested = true;
    this.#session?.requestStop();
    this.#backoff.ring();
  }

  /** Resolves after a stop; throws the WalrelayError that needs a person. */
  async run(): Promise<void> {
    const { settings, logger, metrics } = this.#options;
    const table = polledTable(settings);
    const startedAtMs = performance.now();
    const warned = new Set<string>();
    while (!this.#isStopRequested) {
      this.#lastSignMs = performance.now();
      this.#session = new PollingSession({
        settings,
        table,
        logger,
        metrics,
        warnOnce: (warning) => {
          if (!warned.has(warning)) logger.warn(warning);
          warned.add(warning);
        },
        polling: () => {
          this.#hasPolled = true;
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
        if (error.disposition !== 'retry') throw error;
        if (this.#isStopRequested) {
          logger.warn({ err: error }, 'stopped without a drain: what was in hand is published again');
          break;
        }
        this.#failureCount += 1;
        const waitedMs = performance.now() - startedAtMs;
        if (!this.#hasPolled && settings.startTimeoutMs > 0 && waitedMs > settings.startTimeoutMs)
          throw error;
        const pauseMs = backoffMs(this.#failureCount - 1, settings, this.#options.random());
        this.#logRetry(error, pauseMs);
        metrics.setPhase('backoff');
        await this.#backoff.sleep(pauseMs);
      }
    }
    metrics.setPhase('stopped');
  }

  #progressed(): void {
    this.#lastSignMs = performance.now();
    this.#failureCount = 0;
    this.#lastError = null;
  }

  /** Level follows persistence: the first failure is everyday life, the tenth in a row is trouble. */
  #logRetry(error: WalrelayError, pauseMs: number): void {
    const count = this.#failureCount;
    const level = count >= 10 ? 'error' : count >= 3 ? 'warn' : 'info';
    this.#options.logger[level]({ err: error, failures: count, pauseMs }, 'session ended; a new one follows');
  }
}

export interface PollingRelayOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly metrics: PollingMetrics;
  /** In [0, 1). */
  random(): number;
}

export interface PollingStatus {
  readonly phase: string;
  readonly isPolling: boolean;
  /** False when no claim was committed for longer than any wait may last. */
  readonly isAlive: boolean;
  readonly lastSignMsAgo: number;
  readonly lastError: { readonly code: string; readonly message: string } | null;
}
