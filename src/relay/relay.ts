import type { Settings } from '../config/settings.ts';
import type { Logger } from '../ops/logger.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import { SessionLoop, type SessionLoopStatus } from '../ops/session-loop.ts';
import { PoisonPolicy } from './poison-policy.ts';
import { type RelayShape, relayShape, withRenamed } from './relay-shape.ts';
import { Session } from './session.ts';
import { Trimming } from '../trimming/trimming.ts';
import { WalGuardian, type WalReport } from './wal-guardian.ts';

/** The daemon behind `walrelay run`: sessions that stream. */
export class Relay {
  readonly #loop: SessionLoop;
  readonly #guardian: WalGuardian;
  readonly #trimming: Trimming | null;

  constructor(options: RelayOptions) {
    const { settings, logger, metrics, holder } = options;
    this.#guardian = new WalGuardian({ settings, logger, metrics, holder });
    let isStealing = options.isStealing ?? false;
    const policy = new PoisonPolicy(settings, Date.now);
    /** With the first session, and for all of them. */
    let compiled: RelayShape | undefined;
    const renamedOids = new Map<string, number>();
    this.#trimming = Trimming.start({ settings, logger, createMetrics: () => metrics.createTrimMetrics() });
    this.#loop = new SessionLoop({
      settings,
      logger,
      metrics: {
        recordSession: () => metrics.recordSession(),
        recordSessionError: (code) => {
          metrics.recordSessionError(code);
          metrics.forgetSession();
        },
        setPhase: (phase) => metrics.setPhase(phase),
      },
      longestWaitMs: Math.max(
        settings.serverSilenceMs,
        settings.redisTimeoutMs,
        settings.drainTimeoutMs,
        settings.statusIntervalMs,
        settings.standbyPollMs,
      ),
      workPhase: 'streaming',
      undrained: 'what was not confirmed is read again at the next start',
      random: options.random,
      isMended: (error) => policy.takesAside(error),
      open: ({ works, ...events }) => {
        compiled ??= relayShape(settings);
        const shape = withRenamed(compiled, renamedOids);
        return new Session({
          settings,
          shape,
          logger,
          metrics,
          holder,
          policy,
          streaming: works,
          renamed: (outbox, tableOid) => renamedOids.set(outbox, tableOid),
          claimed: (state) => this.#trimming?.hold(state, shape.streamLengths),
          routed: (stream) => this.#trimming?.note(stream),
          takeSteal: () => {
            // Once: two relays that are both told to steal would take the slot from each other for ever.
            const isAsked = isStealing;
            isStealing = false;
            return isAsked;
          },
          ...events,
        });
      },
    });
  }

  get status(): RelayStatus {
    const status = this.#loop.status;
    return { ...status, isStreaming: status.phase === 'streaming', wal: this.#guardian.report };
  }

  /** Stop reading, finish what is in flight, confirm, close. */
  requestStop(): void {
    this.#loop.requestStop();
  }

  /** Resolves after a stop; throws the WalrelayError that needs a person. */
  async run(): Promise<void> {
    // Not awaited at the end: a look at a server that does not answer must not hold up a stop.
    void this.#guardian.run();
    try {
      await this.#loop.run();
    } finally {
      this.#guardian.stop();
      this.#trimming?.stop();
    }
  }
}

export interface RelayOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly metrics: RelayMetrics;
  readonly holder: string;
  /** In [0, 1). */
  readonly random: () => number;
  /** Take the slot from its holder instead of standing by. */
  readonly isStealing?: boolean;
}

export interface RelayStatus extends SessionLoopStatus {
  readonly isStreaming: boolean;
  /** How much WAL the slot keeps; null while nobody knows. */
  readonly wal: WalReport | null;
}
