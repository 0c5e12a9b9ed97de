import { clientConfig } from '../config/client-config.ts';
import type { OutboxSettings, Settings } from '../config/settings.ts';
import { NO_PROGRESS } from './audit-progress.ts';
import type { AuditReport } from './audit-report.ts';
import { ReadingConnection } from './reading-connection.ts';
import { RedisByKey } from './redis-by-key.ts';
import { readServerState, type ServerState } from './relay-state.ts';
import { runAudit } from './run-audit.ts';
import { recentScanRange } from './scan-range.ts';

/** What one round of the audit beside a relay found; null while it only looks, or while the relay is behind. */
export interface RoundResult {
  readonly report: AuditReport;
  /** Missing rows that no earlier round has named. */
  readonly newlyMissing: number;
}

/**
 * The audit beside a running relay: each round compares the rows that were inserted since the one before, as of then. So
 * nobody waits for anything: what was committed a round ago is long relayed, or the round is put off.
 */
export class AuditRounds {
  readonly #settings: Settings;
  readonly #outbox: OutboxSettings;
  readonly #holder: string;
  /** The server as of the last round. */
  #asOf: ServerState | null = null;
  /** Rows from this time on have not been judged yet. */
  #fromUs: bigint | null = null;
  /** Names of missing rows that were told, so that none is told twice. */
  readonly #told = new Set<string>();

  constructor(settings: Settings, outbox: OutboxSettings, holder: string) {
    this.#settings = settings;
    this.#outbox = outbox;
    this.#holder = holder;
  }

  async next(signal: AbortSignal): Promise<RoundResult | null> {
    using redis = await RedisByKey.open(this.#settings);
    await using postgres = await ReadingConnection.open(clientConfig(this.#settings, this.#holder));
    const present = await readServerState(postgres, this.#settings.slot);
    const asOf = this.#asOf;
    if (asOf === null) {
      this.#asOf = present;
      this.#fromUs = present.nowUs;
      return null;
    }
    const fromUs = this.#fromUs ?? asOf.nowUs;
    // Some are read twice, since a long transaction inserts now what it began to insert a while ago.
    const range = { fromUs: fromUs - OVERLAP_US, toUs: asOf.nowUs };
    const skewMs = ((await redis.nowMs()) ?? present.nowUs / 1000n) - present.nowUs / 1000n;
    const { report, tally, bound } = await runAudit(postgres, redis, {
      settings: this.#settings,
      outbox: this.#outbox,
      range,
      scanRange: recentScanRange(range, skewMs),
      isComplete: false,
      waitMs: 0,
      perSecond: this.#settings.auditRowsPerSecondMax,
      examplesMax: EXAMPLES_MAX,
      progress: NO_PROGRESS,
      signal,
      asOf,
    });
    // The relay is behind: the same rows again, once it has passed them.
    if (bound.from !== 'snapshot') return null;
    const oldest = tally.oldestInFlightUs;
    const horizonUs = asOf.nowUs - IN_FLIGHT_MAX_US;
    this.#fromUs = oldest === null ? asOf.nowUs : oldest > horizonUs ? oldest : horizonUs;
    this.#asOf = present;
    return { report, newlyMissing: this.#countNew(tally.missing.map(({ row }) => row.id)) };
  }

  #countNew(ids: readonly string[]): number {
    if (this.#told.size > TOLD_MAX) this.#told.clear();
    let count = 0;
    for (const id of ids) {
      if (this.#told.has(id)) continue;
      this.#told.add(id);
      count += 1;
    }
    return count;
  }
}

const OVERLAP_US = 60_000_000n;
/** A transaction that is open for longer than this is not waited for. */
const IN_FLIGHT_MAX_US = 3_600_000_000n;
const EXAMPLES_MAX = 5;
const TOLD_MAX = 100_000;
