import { clientConfig } from '../config/client-config.ts';
import type { Settings } from '../config/settings.ts';
import { Alarm } from '../core/alarm.ts';
import type { Logger } from '../ops/logger.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import { WalWatch } from '../source/wal-watch.ts';
import { WalBudget, type WalLevel, type WalState } from './wal-budget.ts';

/**
 * Looks at the slot at a low rate for as long as the process lives, beside the sessions: in standby, in backoff, while
 * Redis is away. Tells metrics, log and /readyz how much WAL the slot keeps and how long that can go on.
 */
export class WalGuardian {
  readonly #options: WalGuardianOptions;
  readonly #watch: WalWatch;
  readonly #budget: WalBudget;
  readonly #pause = new Alarm();
  #report: WalReport | null = null;
  #lineAtMs = 0;
  #isStopped = false;

  constructor(options: WalGuardianOptions) {
    const { settings, holder } = options;
    this.#options = options;
    this.#watch = new WalWatch(() => clientConfig(settings, guardianName(holder)), settings.slot);
    this.#budget = new WalBudget({ retainedWarnBytes: settings.walRetainedWarnBytes });
  }

  /** Null while the slot can't be seen: what was seen last would read as what is now. */
  get report(): WalReport | null {
    return this.#report;
  }

  /** Resolves after `stop`. Never rejects: a relay is not ended by a look that failed. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#look();
      if (this.#isStopped) break;
      await this.#pause.sleep(this.#options.settings.walLookIntervalMs);
    }
    this.#watch.destroy();
  }

  stop(): void {
    this.#isStopped = true;
    this.#watch.destroy();
    this.#pause.ring();
  }

  async #look(): Promise<void> {
    const { metrics, logger } = this.#options;
    try {
      const wal = await this.#watch.look();
      if (wal === null) {
        this.#forget();
        return;
      }
      const state = this.#budget.look({ ...wal, atMs: performance.now() });
      this.#report = reportOf(state);
      metrics.setWal(state);
      this.#say(state, this.#report);
    } catch (error) {
      // The sessions meet the same trouble, and say it at the level that it deserves.
      logger.debug({ err: error }, 'the slot could not be looked at');
      this.#forget();
    }
  }

  #forget(): void {
    this.#report = null;
    this.#options.metrics.setWal(null);
  }

  /** A line at each threshold that is crossed, and one a minute for as long as it is bad. */
  #say(state: WalState, report: WalReport): void {
    const nowMs = performance.now();
    const isDue = state.level !== 'ok' && nowMs - this.#lineAtMs >= LINE_INTERVAL_MS;
    if (!state.hasChanged && !isDue) return;
    this.#lineAtMs = nowMs;
    const { level, reason, ...wal } = report;
    this.#options.logger[LOG_LEVEL[level]](
      { slot: this.#options.settings.slot, wal },
      `wal budget: ${reason}`,
    );
  }
}

/** Another name than the session's connections have, for people who look at pg_stat_activity. */
function guardianName(holder: string): string {
  return `${holder.slice(0, APPLICATION_NAME_BYTES_MAX - GUARDIAN.length)}${GUARDIAN}`;
}

const GUARDIAN = ' (WAL guardian)';
const APPLICATION_NAME_BYTES_MAX = 63;

/** What people are shown: no more digits than the measurement has. */
export interface WalReport {
  readonly level: WalLevel;
  readonly reason: string;
  readonly status: string | null;
  readonly retainedBytes: number | null;
  readonly safeBytes: number | null;
  readonly headroomPercent: number | null;
  readonly walBytesPerSecond: number | null;
  readonly secondsToInvalidation: number | null;
}

function reportOf(state: WalState): WalReport {
  return {
    level: state.level,
    reason: state.reason,
    status: state.walStatus,
    retainedBytes: state.retainedBytes,
    safeBytes: state.safeBytes,
    headroomPercent: state.headroom === null ? null : Math.round(state.headroom * 100),
    walBytesPerSecond: twoDigits(state.walBytesPerSecond),
    secondsToInvalidation: twoDigits(state.secondsToInvalidation),
  };
}

function twoDigits(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(2));
}

export interface WalGuardianOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly metrics: RelayMetrics;
  /** Who this is, for pg_stat_activity. */
  readonly holder: string;
}

const LOG_LEVEL = { ok: 'info', warn: 'warn', error: 'error' } as const;
const LINE_INTERVAL_MS = 60_000;
