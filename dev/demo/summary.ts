import type { Comparison } from './compare.ts';
import type { EventLedger } from './event-ledger.ts';
import { formatMs } from './format-ms.ts';
import type { Terminal } from './terminal.ts';

export interface Outcome {
  readonly seconds: number;
  readonly comparison: Comparison;
  readonly ledger: EventLedger;
}

/** Whether every promise held. */
export function isClean({ comparison, ledger }: Outcome): boolean {
  const { lostCount, duplicatedCount, outOfOrderCount, changedCount, inventedCount, rowCount } = comparison;
  const isRead = ledger.readCount === rowCount && ledger.committedCount === rowCount;
  return lostCount + duplicatedCount + outOfOrderCount + changedCount + inventedCount === 0 && isRead;
}

export function printSummary(terminal: Terminal, outcome: Outcome): void {
  const { comparison, ledger, seconds } = outcome;
  const row = (name: string, text: string) => terminal.line(`  ${name.padEnd(15)} ${text}`);
  const zero = (count: number) => terminal.paint(count === 0 ? 'green' : 'red', String(count));

  terminal.line();
  terminal.line(
    terminal.paint('bold', `After ${seconds.toFixed(1)} seconds, the table against the streams:`),
  );
  row('committed', `${comparison.rowCount} events in ${ledger.transactionCount} transactions`);
  row('rolled back', `${ledger.rolledBackTransactionCount} more; what they wrote to the outbox went nowhere`);
  row('in the streams', `${comparison.entryCount} entries; the blocked reader had ${ledger.readCount}`);
  terminal.line(
    `  ${[
      `lost ${zero(comparison.lostCount)}`,
      `duplicated ${zero(comparison.duplicatedCount)}`,
      `out of order ${zero(comparison.outOfOrderCount)}`,
      `payload changed ${zero(comparison.changedCount)}`,
      `not committed ${zero(comparison.inventedCount)}`,
    ].join(', ')}`,
  );
  if (ledger.sinceCommitted.count > 0) printLatencies(terminal, ledger);
  terminal.line();
}

function printLatencies(terminal: Terminal, { sinceCommitted, sinceCommitStart }: EventLedger): void {
  terminal.line();
  terminal.line(
    terminal.paint('bold', '  latency until the blocked reader had the entry     p50       p99       max'),
  );
  for (const [name, latencies] of [
    ['since the shop sent COMMIT', sinceCommitStart],
    ['since COMMIT returned', sinceCommitted],
  ] as const) {
    const values = [latencies.percentileMs(0.5), latencies.percentileMs(0.99), latencies.maxMs];
    terminal.line(`  ${name.padEnd(44)}${values.map((ms) => formatMs(ms).padStart(10)).join('')}`);
  }
  terminal.line('  One monotonic clock: shop and reader are one process, the relay is another.');
  if (sinceCommitted.minMs < 0) {
    terminal.line("  Below zero, the entry was there before the shop had COMMIT's reply.");
  }
}

export function printNextSteps(terminal: Terminal, isOwn: boolean): void {
  terminal.line(terminal.paint('bold', 'What to try next:'));
  const steps: [string, string][] = [
    ['npm run demo -- --rate 1000 --seconds 20', 'more of it'],
    ['npx walrelay init --help', 'set up your own database'],
    ['docs/running-in-production.md', 'what to set, watch and alert on'],
  ];
  if (isOwn) steps.splice(1, 0, ['DATABASE_URL=… REDIS_URL=… npm run demo', 'the same on your servers']);
  for (const [what, why] of steps) terminal.line(`  ${what.padEnd(42)} ${terminal.paint('dim', why)}`);
}
