import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../core/error-codes.ts';
import { collectProcessMetrics } from './process-metrics.ts';

export const POLLING_PHASES = [
  'connecting',
  'guarding',
  'polling',
  'draining',
  'backoff',
  'stopped',
] as const;
export type PollingPhase = (typeof POLLING_PHASES)[number];

/** empty: nothing to claim · partial: all there was · full: as much as it could take, so more is waiting. */
export type ClaimResult = 'empty' | 'partial' | 'full';

const PREFIX = 'walrelay_';
const SECONDS_BUCKETS = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/**
 * What Prometheus may ask of the polling relay. Names are those of `run` where the meaning is the same; what only the
 * WAL tells (positions, lag, the age of a commit) is not there. All methods are per claim or batch.
 */
export class PollingMetrics {
  readonly #registry = new Registry();
  readonly #now: () => number;

  readonly #events = this.#counter('events_total', 'Events appended to streams and accepted by Redis');
  readonly #batches = this.#counter('batches_total', 'Batches accepted by Redis');
  readonly #appendBytes = this.#counter('append_bytes_total', 'Bytes of accepted batches');
  readonly #sessions = this.#counter('sessions_total', 'Sessions started');
  readonly #wakes = this.#counter('wakes_total', 'Sleeps that a NOTIFY or another worker cut short');
  readonly #appendSeconds = this.#histogram('append_duration_seconds', 'Batch sent to accepted');
  readonly #claimSeconds = this.#histogram('claim_duration_seconds', 'Claim sent to rows received');
  readonly #lastEvent = new Gauge({
    name: `${PREFIX}last_event_timestamp_seconds`,
    help: 'When Redis last accepted an event (Unix time)',
    registers: [this.#registry],
  });
  readonly #claims = new Counter({
    name: `${PREFIX}claims_total`,
    help: 'Claims, by what they brought: empty, partial, or full (more is waiting)',
    labelNames: ['result'],
    registers: [this.#registry],
  });
  readonly #sessionErrors = new Counter({
    name: `${PREFIX}session_errors_total`,
    help: 'Sessions ended by an error, by its code',
    labelNames: ['code'],
    registers: [this.#registry],
  });
  readonly #phases = new Gauge({
    name: `${PREFIX}phase`,
    help: '1 for the phase that the relay is in',
    labelNames: ['phase'],
    registers: [this.#registry],
  });

  constructor(options: { version: string; nowMs?: () => number; hasProcessMetrics?: boolean }) {
    this.#now = options.nowMs ?? Date.now;
    const registers = [this.#registry];
    new Gauge({ name: `${PREFIX}build_info`, help: 'Always 1', labelNames: ['version'], registers }).set(
      { version: options.version },
      1,
    );
    // No event yet: 0 would read as one in 1970.
    this.#lastEvent.remove();
    for (const result of ['empty', 'partial', 'full'] satisfies ClaimResult[])
      this.#claims.inc({ result }, 0);
    this.setPhase('connecting');
    if (options.hasProcessMetrics ?? true) collectProcessMetrics(this.#registry, PREFIX);
  }

  recordClaim(claim: { readonly result: ClaimResult; readonly seconds: number }): void {
    this.#claims.inc({ result: claim.result });
    this.#claimSeconds.observe(claim.seconds);
  }

  recordBatch(batch: {
    readonly events: number;
    readonly bytes: number;
    readonly appendSeconds: number;
  }): void {
    this.#batches.inc();
    this.#events.inc(batch.events);
    this.#appendBytes.inc(batch.bytes);
    this.#appendSeconds.observe(batch.appendSeconds);
    if (batch.events > 0) this.#lastEvent.set(this.#now() / 1000);
  }

  recordWake(): void {
    this.#wakes.inc();
  }

  recordSession(): void {
    this.#sessions.inc();
  }

  recordSessionError(code: ErrorCode): void {
    this.#sessionErrors.inc({ code });
  }

  setPhase(current: PollingPhase): void {
    for (const phase of POLLING_PHASES) this.#phases.set({ phase }, phase === current ? 1 : 0);
  }

  /** The page that Prometheus reads. */
  async render(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: PREFIX + name, help, registers: [this.#registry] });
  }

  #histogram(name: string, help: string): Histogram {
    return new Histogram({
      name: PREFIX + name,
      help,
      buckets: SECONDS_BUCKETS,
      registers: [this.#registry],
    });
  }
}
