import { Worker } from 'node:worker_threads';
import type { Settings } from '../config/settings.ts';
import type { AuditMetrics } from '../ops/audit-metrics.ts';
import type { Logger } from '../ops/logger.ts';
import { FINDINGS, isClean } from './audit-report.ts';
import type { RoundResult } from './audit-rounds.ts';
import type { AuditMessage, AuditWorkerData } from './audit-worker.ts';

/**
 * Runs audits beside a relay, in a thread of its own, and tells metrics and log what they find. Whatever becomes of it,
 * the relay goes on.
 */
export class PeriodicAudit {
  readonly #worker: Worker;
  readonly #logger: Logger;
  readonly #metrics: AuditMetrics;
  readonly #exited: Promise<void>;
  /** The last failure, so that one that stays is said once. */
  #lastFailure = '';

  private constructor(worker: Worker, logger: Logger, metrics: AuditMetrics) {
    this.#worker = worker;
    this.#logger = logger;
    this.#metrics = metrics;
    this.#exited = new Promise((resolve) => {
      worker.once('exit', () => resolve());
    });
    worker.on('message', (message: AuditMessage) => this.#hear(message));
    worker.on('error', (error) => {
      metrics.recordFailure();
      logger.error({ err: error }, 'the audit has crashed; the relay goes on without it');
    });
  }

  static start(settings: Settings, holder: string, logger: Logger, metrics: AuditMetrics): PeriodicAudit {
    const worker = new Worker(workerUrl(), {
      workerData: { settings, holder } satisfies AuditWorkerData,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    return new PeriodicAudit(worker, logger, metrics);
  }

  /** Ends the audit in hand; its temporary files go. */
  async stop(): Promise<void> {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    this.#worker.postMessage('stop');
    const late = setTimeout(() => void this.#worker.terminate(), STOP_MS);
    await this.#exited;
    clearTimeout(late);
  }

  #hear(message: AuditMessage): void {
    if (message.kind === 'failed') {
      this.#metrics.recordFailure();
      const { code, hint } = message;
      const failure = `${code} ${message.message}`;
      if (failure !== this.#lastFailure) {
        this.#logger.warn({ code, reason: message.message, hint }, 'an audit failed; the relay goes on');
      }
      this.#lastFailure = failure;
      return;
    }
    this.#lastFailure = '';
    if (message.results.length > 0) this.#tell(message.results);
  }

  /** The metrics are about all outboxes together, the log about each. */
  #tell(results: readonly RoundResult[]): void {
    const sumOf = (count: (result: RoundResult) => number) =>
      results.reduce((sum, result) => sum + count(result), 0);
    this.#metrics.recordRun({
      rows: sumOf(({ report }) => report.rows),
      newlyMissing: sumOf(({ newlyMissing }) => newlyMissing),
      findings: Object.fromEntries(
        FINDINGS.map((name) => [name, sumOf(({ report }) => report.findings[name])]),
      ),
      seconds: sumOf(({ report }) => report.seconds),
      atMs: Date.now(),
    });
    for (const result of results) this.#log(result, results.length > 1);
  }

  #log({ report, newlyMissing }: RoundResult, isOneOfSeveral: boolean): void {
    const { findings, rows, entries, seconds, range, examples, notes, table } = report;
    const facts = {
      ...(isOneOfSeveral ? { table } : {}),
      rows,
      entries,
      seconds,
      from: range.from,
      to: range.to,
      inFlight: notes.inFlight,
    };
    if (isClean(report)) this.#logger.debug(facts, 'audited: clean');
    else if (newlyMissing > 0)
      this.#logger.error({ ...facts, findings, examples }, 'events are missing from the streams');
    else this.#logger.warn({ ...facts, findings, examples }, 'audited: not clean');
  }
}

/** From src with tsx, and from dist. */
function workerUrl(): URL {
  return new URL(
    import.meta.url.endsWith('.ts') ? './audit-worker.ts' : './audit-worker.js',
    import.meta.url,
  );
}

const STOP_MS = 2000;
const HEAP_MB_MAX = 512;
