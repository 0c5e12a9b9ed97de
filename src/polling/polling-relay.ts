import type { Settings } from '../config/settings.ts';
import type { Logger } from '../ops/logger.ts';
import type { PollingMetrics } from '../ops/polling-metrics.ts';
import { SessionLoop, type SessionLoopStatus } from '../ops/session-loop.ts';
import { polledTable } from './polled-table.ts';
import { PollingSession } from './polling-session.ts';

/** The daemon behind `walrelay poll`: sessions that claim rows. */
export class PollingRelay {
  readonly #loop: SessionLoop;

  constructor(options: PollingRelayOptions) {
    const { settings, logger, metrics } = options;
    this.#loop = new SessionLoop({
      settings,
      logger,
      metrics,
      longestWaitMs: Math.max(
        settings.serverSilenceMs,
        settings.redisTimeoutMs,
        settings.drainTimeoutMs,
        settings.pollIntervalMs,
      ),
      workPhase: 'polling',
      undrained: 'what was in hand is published again',
      random: options.random,
      open: ({ works, ...events }) =>
        new PollingSession({
          settings,
          table: polledTable(settings),
          logger,
          metrics,
          polling: works,
          ...events,
        }),
    });
  }

  get status(): PollingStatus {
    const status = this.#loop.status;
    return { ...status, isPolling: status.phase === 'polling' };
  }

  /** Finish the batches in hand, commit them, close. */
  requestStop(): void {
    this.#loop.requestStop();
  }

  /** Resolves after a stop; throws the WalrelayError that needs a person. */
  async run(): Promise<void> {
    await this.#loop.run();
  }
}

export interface PollingRelayOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly metrics: PollingMetrics;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface PollingStatus extends SessionLoopStatus {
  readonly isPolling: boolean;
}
