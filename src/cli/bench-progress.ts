import { Presets, SingleBar } from 'cli-progress';
import type { RunReport } from '../bench/bench-report.ts';
import type { Removed } from '../bench/leftovers.ts';
import { checkText } from '../bench/report-table.ts';
import type { BenchProgress } from '../bench/bench-options.ts';

/** A bar on a terminal, a line for each run elsewhere. Standard output is for results: this is the other one. */
export function benchProgress(out: NodeJS.WriteStream): BenchProgress & { end(): void } {
  return out.isTTY ? new BarProgress(out) : new LineProgress(out);
}

class LineProgress implements BenchProgress {
  readonly #out: NodeJS.WritableStream;
  #title = '';
  #runs = 0;
  #run = 0;

  constructor(out: NodeJS.WritableStream) {
    this.#out = out;
  }

  removedLeftovers(removed: readonly Removed[]): void {
    for (const each of removed) this.note(removedText(each));
  }

  begins(runs: number): void {
    this.#runs = runs;
    this.note(`${runs} runs`);
  }

  runBegins(title: string): void {
    this.#title = title;
  }

  step(text: string): void {
    if (text === 'cleaning up') this.note('cleaning up');
  }

  runEnds(run: RunReport | undefined): void {
    if (run === undefined) return;
    this.#run += 1;
    this.note(`${String(this.#run).padStart(3)}/${this.#runs}  ${this.#title}: ${runText(run)}`);
  }

  note(text: string): void {
    this.#out.write(`${text}\n`);
  }

  end(): void {}
}

class BarProgress implements BenchProgress {
  readonly #out: NodeJS.WritableStream;
  readonly #bar: SingleBar;
  #isShown = false;
  #title = '';
  #last = '';

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
    this.#bar = new SingleBar(
      {
        stream: out,
        format: '{bar} {value}/{total}  {title}: {step}  {last}',
        barsize: 20,
        clearOnComplete: true,
        hideCursor: true,
        fps: 5,
        // Ctrl-C is for the bench: it cleans up first.
        gracefulExit: false,
        linewrap: false,
      },
      Presets.shades_classic,
    );
  }

  removedLeftovers(removed: readonly Removed[]): void {
    for (const each of removed) this.note(removedText(each));
  }

  begins(runs: number): void {
    this.#isShown = true;
    this.#bar.start(runs, 0, { title: '', step: 'starting', last: '' });
  }

  runBegins(title: string): void {
    this.#title = title;
    this.#update('');
  }

  step(text: string): void {
    this.#update(text);
  }

  runEnds(run: RunReport | undefined): void {
    if (run === undefined) return;
    this.#last = `(${this.#title}: ${runText(run)})`;
    this.#bar.increment();
    this.#update('');
  }

  note(text: string): void {
    // The bar is drawn anew below.
    this.#out.write(`${this.#isShown ? '\r\u001b[2K' : ''}${text}\n`);
  }

  end(): void {
    if (this.#isShown) this.#bar.stop();
    this.#isShown = false;
  }

  #update(step: string): void {
    if (this.#isShown) this.#bar.update({ title: this.#title, step, last: this.#last });
  }
}

function runText({ outcome, reason, latency, throughput, check }: RunReport): string {
  if (outcome !== 'measured') return `${outcome}: ${reason ?? ''}`;
  const figures =
    latency === undefined
      ? `${throughput?.eventsPerSecond.toLocaleString('en') ?? '?'} events/s`
      : `p50 ${latency.p50Ms.toFixed(2)} ms, p99 ${latency.p99Ms.toFixed(2)} ms`;
  return `${figures}, ${checkText(check)}`;
}

export function removedText({ runId, slots, publications, schemas, keys }: Removed): string {
  const parts = [
    ...slots.map((name) => `slot ${name}`),
    ...publications.map((name) => `publication ${name}`),
    ...schemas.map((name) => `schema ${name}`),
    ...(keys === 0 ? [] : [`${keys} keys`]),
  ];
  return `removed what the crashed run ${runId} had left: ${parts.join(', ')}`;
}
