import type { EventLedger } from './event-ledger.ts';
import { formatMs } from './format-ms.ts';
import type { StreamEntry } from './stream-reader.ts';
import type { Terminal } from './terminal.ts';

/** Entry lines a second; beyond it a person sees nothing, and the terminal would slow the reader down. */
const LINES_PER_SECOND_MAX = 50;
/** Worth a colour of its own. */
const SLOW_MS = 50;

/** The part of the demo that moves: a line for each entry, and a status line. */
export class LiveView {
  readonly #terminal: Terminal;
  readonly #ledger: EventLedger;
  readonly #keyPrefix: string;
  #linesThisSecond = 0;
  #hiddenCount = 0;
  #readAtLastStatus = 0;
  #lastStatusMs = performance.now();

  constructor(options: { terminal: Terminal; ledger: EventLedger; keyPrefix: string }) {
    this.#terminal = options.terminal;
    this.#ledger = options.ledger;
    this.#keyPrefix = options.keyPrefix;
  }

  header(): void {
    this.#terminal.line('Latency: from the shop sending COMMIT to the blocked reader having the entry.\n');
    const row = columns('time', 'stream', 'type', 'order', 'lsn', 'latency');
    this.#terminal.line(this.#terminal.paint('bold', row));
  }

  arrived({ stream, fields }: StreamEntry, latencyMs: number): void {
    if (this.#linesThisSecond >= LINES_PER_SECOND_MAX) {
      this.#hiddenCount += 1;
      return;
    }
    this.#linesThisSecond += 1;
    const type = fields['type'] ?? '';
    const row = columns(
      new Date().toISOString().slice(11, 23),
      stream.slice(this.#keyPrefix.length),
      type,
      orderIdOf(fields['payload']),
      fields['lsn'] ?? '',
      formatMs(latencyMs),
    );
    this.#terminal.line(this.#painted(row, type, latencyMs));
  }

  /** Call about once a second. */
  status(): void {
    const nowMs = performance.now();
    const { readCount, waitingCount, sinceCommitStart } = this.#ledger;
    const perSecond = ((readCount - this.#readAtLastStatus) * 1000) / (nowMs - this.#lastStatusMs);
    const latency =
      sinceCommitStart.count === 0
        ? 'no entry yet'
        : `p50 ${formatMs(sinceCommitStart.percentileMs(0.5))}, p99 ${formatMs(sinceCommitStart.percentileMs(0.99))}, max ${formatMs(sinceCommitStart.maxMs)}`;
    const hidden = this.#hiddenCount === 0 ? '' : `, ${this.#hiddenCount} not shown`;
    const waiting = waitingCount === 0 ? '' : `, ${waitingCount} on the way`;
    const text = `-- ${readCount} events, ${perSecond.toFixed(0)}/s | ${latency}${waiting}${hidden}`;
    this.#terminal.setFooter(this.#terminal.paint('cyan', text.slice(0, this.#terminal.width - 1)));
    this.#readAtLastStatus = readCount;
    this.#lastStatusMs = nowMs;
    this.#linesThisSecond = 0;
  }

  #painted(row: string, type: string, latencyMs: number): string {
    const terminal = this.#terminal;
    const at = row.indexOf(type);
    const latencyAt = row.length - LATENCY_WIDTH;
    return [
      terminal.paint('dim', row.slice(0, at)),
      terminal.paint(type.startsWith('parcel') ? 'magenta' : 'bold', type),
      terminal.paint('dim', row.slice(at + type.length, latencyAt)),
      terminal.paint(latencyMs > SLOW_MS ? 'yellow' : 'green', row.slice(latencyAt)),
    ].join('');
  }
}

const WIDTHS = [12, 13, 15, 7, 12] as const;
const LATENCY_WIDTH = 9;

/** 78 characters when nothing is longer than usual. */
function columns(...cells: [string, string, string, string, string, string]): string {
  const padded = WIDTHS.map((width, index) => (cells[index] ?? '').padEnd(width));
  return [...padded, cells[5].padStart(LATENCY_WIDTH)].join('  ');
}

/** The consumer's own work: it reads the payload, as consumers do. */
function orderIdOf(payload: string | undefined): string {
  const parsed = JSON.parse(payload ?? '{}') as { orderId?: string };
  return parsed.orderId ?? '?';
}
