import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../core/error-codes.ts';
import type { Lsn } from '../core/lsn.ts';
import { AuditMetrics } from './audit-metrics.ts';
import { CleanUpMetrics } from './clean-up-metrics.ts';
import { collectProcessMetrics } from './process-metrics.ts';
import { TrimMetrics } from './trim-metrics.ts';

export const RELAY_PHASES = [
  'connecting',
  'guarding',
  'standby',
  'streaming',
  'draining',
  'backoff',
  'stopped',
] as const;
export type RelayPhase = (typeof RELAY_PHASES)[number];

export interface BatchFacts {
  /** Entries that Redis appended. */
  readonly events: number;
  readonly bytes: number;
  /** From sending the batch to its acceptance. */
  readonly appendSeconds: number;
  /** From the commit of the batch's oldest event to acceptance, by the two hosts' clocks. */
  readonly oldestCommitAgeSeconds: number;
}

export interface WalGauges {
  readonly retainedBytes: number | null;
  /** pg_replication_slots.safe_wal_size: null while max_slot_wal_keep_size is unlimited. */
  readonly safeBytes: number | null;
  readonly secondsToInvalidation: number | null;
  readonly walBytesPerSecond: number | null;
}

const PREFIX = 'walrelay_';
const APPEND_BUCKETS = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
const COMMIT_TO_STREAM_BUCKETS = [
  0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
];

/**
 * Everything that Prometheus may ask. Owns its registry, so that two relays in one process (and two tests) stay apart.
 * All methods are per batch, session or status update: at 150,000 events a second nothing here may run per event.
 * A gauge whose value isn't known yet is absent; 0 would read as "no lag".
 */
export class RelayMetrics {
  readonly #registry = new Registry();
  readonly #now: () => number;

  readonly #events = this.#counter('events_total', 'Events appended to streams and accepted by Redis');
  readonly #batches = this.#counter('batches_total', 'Batches accepted by Redis');
  readonly #appendBytes = this.#counter('append_bytes_total', 'Bytes of accepted batches');
  readonly #transactions = this.#counter(
    'transactions_total',
    'Transactions with events, read to their Commit',
  );
  readonly #resent = this.#counter(
    'resent_events_total',
    'Events read again and skipped: not above the watermark',
  );
  readonly #filtered = this.#counter('filtered_events_total', 'Events that a route left out');
  readonly #refusedMessages = this.#counter(
    'refused_messages_total',
    'Logical messages with the prefix of an outbox that came without a transaction, and so were not relayed',
  );
  readonly #sessions = this.#counter('sessions_total', 'Replication sessions started');
  readonly #appendSeconds = this.#histogram(
    'append_duration_seconds',
    'Batch sent to accepted',
    APPEND_BUCKETS,
  );
  readonly #commitToStream = this.#histogram(
    'commit_to_stream_seconds',
    "Commit of a batch's oldest event to its acceptance, by the clocks of both hosts",
    COMMIT_TO_STREAM_BUCKETS,
  );
  readonly #inFlight = this.#gauge('in_flight_batches', 'Batches sent and not yet answered');
  readonly #held = this.#gauge('held_bytes', 'Bytes of events held in memory');
  readonly #paused = this.#gauge('paused', '1 while reading from Postgres is paused');
  readonly #received = this.#gauge('received_lsn_bytes', 'Received LSN as a byte offset in the WAL');
  readonly #confirmed = this.#gauge('confirmed_lsn_bytes', 'Confirmed LSN as a byte offset in the WAL');
  readonly #accepted = this.#gauge(
    'accepted_lsn_bytes',
    'Up to where Redis has accepted everything, as a byte offset in the WAL',
  );
  readonly #lag = this.#gauge('lag_bytes', "The server's WAL end minus the accepted LSN");
  readonly #shortWaits = this.#counter(
    'short_waits_total',
    'Waits for the disk or for replicas that ended without them; nothing was confirmed meanwhile',
  );
  readonly #slotRetained = this.#gauge('slot_retained_bytes', 'WAL that the server keeps for the slot');
  readonly #slotSafe = this.#gauge(
    'slot_safe_bytes',
    'WAL until the slot is invalidated; absent when unlimited',
  );
  readonly #slotSeconds = this.#gauge(
    'slot_seconds_to_invalidation',
    'Until the slot is invalidated, at the rate at which its headroom shrinks now; absent while it does not',
  );
  readonly #walRate = this.#gauge('wal_bytes_per_second', 'WAL that the whole cluster writes, smoothed');
  readonly #lastEvent = this.#gauge(
    'last_event_timestamp_seconds',
    'When Redis last accepted an event (Unix time)',
  );
  readonly #ofSession = [this.#received, this.#accepted, this.#confirmed, this.#lag];
  readonly #ofSlot = [this.#slotRetained, this.#slotSafe, this.#slotSeconds, this.#walRate];
  readonly #sessionErrors: Counter<'code'>;
  readonly #deadLetters: Counter<'reason'>;
  readonly #phases: Gauge<'phase'>;

  #acceptedLsn: Lsn | undefined;
  #serverWalEndLsn: Lsn | undefined;

  constructor(options: { version: string; nowMs?: () => number; hasProcessMetrics?: boolean }) {
    this.#now = options.nowMs ?? Date.now;
    const registers = [this.#registry];
    this.#sessionErrors = new Counter({
      name: `${PREFIX}session_errors_total`,
      help: 'Sessions ended by an error, by its code',
      labelNames: ['code'],
      registers,
    });
    this.#deadLetters = new Counter({
      name: `${PREFIX}dead_letters_total`,
      help: "Events that could not pass and stand in the dead letters, by the error's code",
      labelNames: ['reason'],
      registers,
    });
    this.#phases = new Gauge({
      name: `${PREFIX}phase`,
      help: '1 for the phase that the relay is in',
      labelNames: ['phase'],
      registers,
    });
    new Gauge({ name: `${PREFIX}build_info`, help: 'Always 1', labelNames: ['version'], registers }).set(
      { version: options.version },
      1,
    );
    for (const gauge of [...this.#ofSession, ...this.#ofSlot, this.#lastEvent]) gauge.remove();
    this.setPhase('connecting');
    if (options.hasProcessMetrics ?? true) collectProcessMetrics(this.#registry, PREFIX);
  }

  recordBatch(batch: BatchFacts): void {
    this.#batches.inc();
    this.#events.inc(batch.events);
    this.#appendBytes.inc(batch.bytes);
    this.#appendSeconds.observe(batch.appendSeconds);
    if (batch.events === 0) return;
    // Clocks of two hosts: a relay that is behind sees commits in the future.
    this.#commitToStream.observe(Math.max(0, batch.oldestCommitAgeSeconds));
    this.#lastEvent.set(this.#now() / 1000);
  }

  recordTransactions(count: number): void {
    this.#transactions.inc(count);
  }

  recordResentEvents(count: number): void {
    this.#resent.inc(count);
  }

  recordFilteredEvents(count: number): void {
    this.#filtered.inc(count);
  }

  recordRefusedMessage(): void {
    this.#refusedMessages.inc();
  }

  recordDeadLetter(reason: string): void {
    this.#deadLetters.inc({ reason });
  }

  recordSession(): void {
    this.#sessions.inc();
  }

  recordSessionError(code: ErrorCode): void {
    this.#sessionErrors.inc({ code });
  }

  /** The session is over: what it knew of the servers is stale now, and a stale value would read as a fresh one. */
  forgetSession(): void {
    for (const gauge of this.#ofSession) gauge.remove();
    this.#acceptedLsn = undefined;
    this.#serverWalEndLsn = undefined;
    this.setInFlight({ batches: 0, heldBytes: 0 });
    this.setPaused(false);
  }

  setPhase(current: RelayPhase): void {
    for (const phase of RELAY_PHASES) this.#phases.set({ phase }, phase === current ? 1 : 0);
  }

  setInFlight(load: { batches: number; heldBytes: number }): void {
    this.#inFlight.set(load.batches);
    this.#held.set(load.heldBytes);
  }

  setPaused(isPaused: boolean): void {
    this.#paused.set(isPaused ? 1 : 0);
  }

  setReceivedLsn(lsn: Lsn): void {
    this.#received.set(Number(lsn));
  }

  setConfirmedLsn(lsn: Lsn): void {
    this.#confirmed.set(Number(lsn));
  }

  setAcceptedLsn(lsn: Lsn): void {
    this.#acceptedLsn = lsn;
    this.#accepted.set(Number(lsn));
    this.#updateLag();
  }

  recordShortWait(): void {
    this.#shortWaits.inc();
  }

  setServerWalEndLsn(lsn: Lsn): void {
    this.#serverWalEndLsn = lsn;
    this.#updateLag();
  }

  /** What the slot keeps; null while nobody knows. Looked at beside the sessions, so it does not end with one. */
  setWal(wal: WalGauges | null): void {
    setOrRemove(this.#slotRetained, wal?.retainedBytes);
    setOrRemove(this.#slotSafe, wal?.safeBytes);
    setOrRemove(this.#slotSeconds, wal?.secondsToInvalidation);
    setOrRemove(this.#walRate, wal?.walBytesPerSecond);
  }

  /** Metrics of the audit beside the relay; only there when it runs. */
  createAuditMetrics(): AuditMetrics {
    return new AuditMetrics(this.#registry, PREFIX);
  }

  #cleanUp: CleanUpMetrics | null = null;

  /** Metrics of the clean-up; only there when it runs. Sessions come and go, the counts stay. */
  get cleanUp(): CleanUpMetrics {
    return (this.#cleanUp ??= new CleanUpMetrics(this.#registry, PREFIX));
  }

  /** Metrics of the trimming; only there when it runs. */
  createTrimMetrics(): TrimMetrics {
    return new TrimMetrics(this.#registry, PREFIX);
  }

  /** The page that Prometheus reads. */
  async render(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #updateLag(): void {
    if (this.#acceptedLsn === undefined || this.#serverWalEndLsn === undefined) return;
    // A keepalive may be older than what has been accepted since.
    const lag = this.#serverWalEndLsn - this.#acceptedLsn;
    this.#lag.set(lag > 0n ? Number(lag) : 0);
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: PREFIX + name, help, registers: [this.#registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: PREFIX + name, help, registers: [this.#registry] });
  }

  #histogram(name: string, help: string, buckets: number[]): Histogram {
    return new Histogram({ name: PREFIX + name, help, buckets, registers: [this.#registry] });
  }
}

function setOrRemove(gauge: Gauge, value: number | null | undefined): void {
  if (value === null || value === undefined) gauge.remove();
  else gauge.set(value);
}
