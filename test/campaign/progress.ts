import { Presets, SingleBar } from 'cli-progress';
import type { Row } from './row.ts';
import type { RunResult } from './run-row.ts';
import { formatMs } from './report-table.ts';

export interface CampaignProgress {
  /** Undefined: until the time is over. */
  begins(runs: number | undefined): void;
  runBegins(row: Row, seed: number): void;
  step(text: string): void;
  milestone(text: string): void;
  runEnds(result: RunResult): void;
  end(): void;
}

/** A line for each run; on a terminal, below them, what goes on now. */
export function campaignProgress(out: NodeJS.WriteStream): CampaignProgress {
  return out.isTTY ? new BarProgress(out) : new LineProgress(out);
}

class LineProgress implements CampaignProgress {
  readonly #out: NodeJS.WritableStream;

  constructor(out: NodeJS.WritableStream) {
    this.#out = out;
  }

  begins(): void {}

  runBegins(): void {}

  step(): void {}

  milestone(text: string): void {
    this.#out.write(`     ${text}\n`);
  }

  runEnds(result: RunResult): void {
    this.#out.write(`${runLine(result)}\n`);
  }

  end(): void {}
}

class BarProgress implements CampaignProgress {
  readonly #out: NodeJS.WriteStream;
  readonly #bar: SingleBar;
  #row = '';
  #startedAtMs = 0;
  #step = '';
  #ticking: NodeJS.Timeout | undefined;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#bar = new SingleBar(
      {
        stream: out,
        format: '{bar} {value}/{total}  {row}  {seconds} s  {step}',
        barsize: 16,
        clearOnComplete: true,
        hideCursor: true,
        fps: 5,
        // Ctrl-C is for the campaign: it ends its servers first.
        gracefulExit: false,
        linewrap: false,
      },
      Presets.shades_classic,
    );
  }

  begins(runs: number | undefined): void {
    this.#bar.start(runs ?? 0, 0, { row: '', seconds: '0', step: 'starting servers' });
    this.#ticking = setInterval(() => this.#draw(), 500);
    this.#ticking.unref();
  }

  runBegins(row: Row): void {
    this.#row = `${row.id} ${row.fault}`;
    this.#startedAtMs = performance.now();
    this.step('');
  }

  step(text: string): void {
    this.#step = text;
    this.#draw();
  }

  milestone(text: string): void {
    this.#write(`     ${text}`);
  }

  runEnds(result: RunResult): void {
    this.#write(runLine(result));
    this.#bar.increment();
  }

  end(): void {
    clearInterval(this.#ticking);
    this.#bar.stop();
  }

  #write(line: string): void {
    // The bar is drawn anew below.
    this.#out.write(`\r\u001b[2K${line}\n`);
  }

  #draw(): void {
    const seconds = ((performance.now() - this.#startedAtMs) / 1000).toFixed(0);
    this.#bar.update({ row: this.#row, seconds, step: this.#step });
  }
}

function runLine({ row, seed, outcome, tally, elapsedMs, cause }: RunResult): string {
  const verdict = { passed: 'ok  ', failed: 'FAIL', interrupted: 'cut ' }[outcome];
  const figures = [
    `${tally.events.toLocaleString('en')} events`,
    ...(tally.faults > 1 ? [`${tally.faults} faults`] : []),
    ...(tally.recoveriesMs.length === 0 ? [] : [`recovered in ${formatMs(Math.max(...tally.recoveriesMs))}`]),
  ];
  const seconds = `${(elapsedMs / 1000).toFixed(1)} s`;
  const head = `${verdict} ${row.id.padEnd(4)} ${seconds.padStart(7)}  ${row.fault} (${figures.join(', ')}; seed ${seed})`;
  return cause === undefined ? head : `${head}\n       ${cause.split('\n', 1)[0]}`;
}
