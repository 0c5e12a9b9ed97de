import { Counter, Gauge, type Registry } from 'prom-client';

/** What the last audits beside the relay found. Absent until one has run. */
export class AuditMetrics {
  readonly #rows: Counter;
  readonly #missing: Counter;
  readonly #findings: Gauge<'kind'>;
  readonly #lastRun: Gauge;
  readonly #seconds: Gauge;
  readonly #failures: Counter;

  constructor(registry: Registry, prefix: string) {
    const registers = [registry];
    this.#rows = new Counter({
      name: `${prefix}audit_rows_total`,
      help: 'Rows that were compared with the streams',
      registers,
    });
    this.#missing = new Counter({
      name: `${prefix}audit_missing_total`,
      help: 'Rows found without their entry, each once',
      registers,
    });
    this.#failures = new Counter({
      name: `${prefix}audit_failures_total`,
      help: 'Audits that ended in an error',
      registers,
    });
    this.#findings = new Gauge({
      name: `${prefix}audit_findings`,
      help: 'What the last audit found, by kind',
      labelNames: ['kind'],
      registers,
    });
    this.#lastRun = new Gauge({
      name: `${prefix}audit_last_timestamp_seconds`,
      help: 'When the last audit ended that was not cut short (Unix time)',
      registers,
    });
    this.#seconds = new Gauge({
      name: `${prefix}audit_duration_seconds`,
      help: 'How long the last audit took',
      registers,
    });
    this.#lastRun.remove();
    this.#seconds.remove();
  }

  recordRun(run: {
    readonly rows: number;
    readonly newlyMissing: number;
    readonly findings: Readonly<Record<string, number>>;
    readonly seconds: number;
    readonly atMs: number;
  }): void {
    this.#rows.inc(run.rows);
    this.#missing.inc(run.newlyMissing);
    for (const [kind, count] of Object.entries(run.findings)) this.#findings.set({ kind }, count);
    this.#seconds.set(run.seconds);
    this.#lastRun.set(run.atMs / 1000);
  }

  recordFailure(): void {
    this.#failures.inc();
  }
}
