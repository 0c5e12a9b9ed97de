import { grouped } from '../core/grouped.ts';
import type { ProgressLine } from './progress-line.ts';

/** Says what a recovery or a snapshot does, each step once, and how far it is. Standard output is for the result: this is the other one. */
export class RecoverProgress implements Disposable {
  readonly #out: NodeJS.WriteStream;
  readonly #line: ProgressLine;
  #what = '';
  #startedAtMs = 0;

  constructor(out: NodeJS.WriteStream, line: ProgressLine) {
    this.#out = out;
    this.#line = line;
  }

  step(text: string): void {
    this.#line.end();
    this.#out.write(`${text}\n`);
  }

  /** `total`: as far as it is known. */
  count(what: string, done: number, total: number | null): void {
    const nowMs = performance.now();
    if (what !== this.#what) {
      this.#what = what;
      this.#startedAtMs = nowMs;
    }
    const seconds = (nowMs - this.#startedAtMs) / 1000;
    const of = total === null ? '' : ` of about ${grouped(total)}`;
    // What came in the first moments is no rate.
    const rate = seconds < 1 ? '' : `, ${grouped(Math.round(done / seconds))}/s`;
    this.#line.show(
      what,
      `${grouped(done)}${of}${rate}`,
      total === null ? null : Math.min(1, done / Math.max(1, total)),
    );
  }

  [Symbol.dispose](): void {
    this.#line.end();
  }
}
