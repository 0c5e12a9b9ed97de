/** Says what a recovery does, and every few seconds how far it is. Standard output is for the result: this is the other one. */
export class RecoverProgress implements Disposable {
  readonly #out: NodeJS.WriteStream;
  #what = '';
  #startedAtMs = 0;
  #lastAtMs = 0;
  #isOpen = false;

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  step(text: string): void {
    this.#endLine();
    this.#out.write(`${text}\n`);
  }

  count(what: string, done: number, total: number | null): void {
    const nowMs = performance.now();
    if (what !== this.#what) {
      this.#endLine();
      this.#what = what;
      this.#startedAtMs = nowMs;
      this.#lastAtMs = nowMs;
      return;
    }
    // A terminal shows one line that changes; a log gets few.
    if (nowMs - this.#lastAtMs < (this.#out.isTTY ? TERMINAL_INTERVAL_MS : LOG_INTERVAL_MS)) return;
    this.#lastAtMs = nowMs;
    const rate = Math.round((done / (nowMs - this.#startedAtMs)) * 1000);
    const of =
      total === null || total === 0
        ? ''
        : ` of about ${grouped(total)} (${Math.floor((100 * done) / total)} %)`;
    const line = `  ${grouped(done)} ${what}${of}, ${grouped(rate)} a second`;
    this.#out.write(this.#out.isTTY ? `\r\u001b[K${line}` : `${line}\n`);
    this.#isOpen = this.#out.isTTY;
  }

  [Symbol.dispose](): void {
    this.#endLine();
  }

  #endLine(): void {
    if (this.#isOpen) this.#out.write('\n');
    this.#isOpen = false;
  }
}

const TERMINAL_INTERVAL_MS = 200;
const LOG_INTERVAL_MS = 5_000;

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
