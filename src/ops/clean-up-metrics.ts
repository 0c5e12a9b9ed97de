import { Counter, Gauge, type Registry } from 'prom-client';

/** What the clean-up beside the relay has done; only there when it is switched on. */
export class CleanUpMetrics {
  readonly #rows: Counter;
  readonly #made: Counter;
  readonly #dropped: Counter;
  readonly #failures: Counter;
  readonly #lastRun: Gauge;
  readonly #daysAhead: Gauge;

  constructor(registry: Registry, prefix: string) {
    const registers = [registry];
    const counter = (name: string, help: string) =>
      new Counter({ name: `${prefix}cleanup_${name}`, help, registers });
    const gauge = (name: string, help: string) =>
      new Gauge({ name: `${prefix}cleanup_${name}`, help, registers });
    this.#rows = counter('deleted_rows_total', 'Confirmed rows that were deleted');
    this.#made = counter('partitions_made_total', 'Daily partitions that were made');
    this.#dropped = counter('partitions_dropped_total', 'Partitions that were dropped, wholly confirmed');
    this.#failures = counter('failures_total', 'Looks of the clean-up that ended in an error');
    this.#lastRun = gauge(
      'last_timestamp_seconds',
      'When a look of the clean-up last ended well (Unix time)',
    );
    this.#daysAhead = gauge('partition_days', 'Days from today on for which there is a partition');
    this.#lastRun.remove();
    this.#daysAhead.remove();
  }

  recordDeleted(rows: number): void {
    this.#rows.inc(rows);
  }

  recordMade(): void {
    this.#made.inc();
  }

  recordDropped(): void {
    this.#dropped.inc();
  }

  recordFailure(): void {
    this.#failures.inc();
  }

  recordLook(atMs: number): void {
    this.#lastRun.set(atMs / 1000);
  }

  setPartitionDays(days: number): void {
    this.#daysAhead.set(days);
  }
}
