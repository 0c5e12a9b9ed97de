/** How far a long command is, on standard error: one line that is drawn anew on a terminal, a line now and then elsewhere. */
export class ProgressLine {
  readonly #out: NodeJS.WriteStream;
  readonly #nowMs: () => number;
  #phase = '';
  #phaseMs = 0;
  #startDone = 0;
  #drawnMs: number;
  #isDrawn = false;

  constructor(out: NodeJS.WriteStream, nowMs: () => number = () => performance.now()) {
    this.#out = out;
    this.#nowMs = nowMs;
    this.#drawnMs = nowMs();
  }

  /** `done`: of the phase, 0 to 1; null when nobody knows. */
  show(phase: string, text: string, done: number | null): void {
    const nowMs = this.#nowMs();
    if (phase !== this.#phase) {
      this.#phase = phase;
      this.#phaseMs = nowMs;
      this.#startDone = done ?? 0;
    }
    if (nowMs < this.#drawnMs + (this.#out.isTTY ? 100 : LINE_MS)) return;
    this.#drawnMs = nowMs;
    const line = `${phase}${text === '' ? '' : `: ${text}`}${this.#left(done, nowMs)}`;
    if (!this.#out.isTTY) {
      this.#out.write(`${line}\n`);
      return;
    }
    this.#isDrawn = true;
    this.#out.write(`\r\u001b[2K${line.slice(0, Math.max(20, this.#out.columns - 1))}`);
  }

  /** The line goes: what comes next is the result. */
  end(): void {
    if (this.#isDrawn) this.#out.write('\r\u001b[2K');
    this.#isDrawn = false;
  }

  #left(done: number | null, nowMs: number): string {
    if (done === null) return '';
    const percent = `, ${Math.floor(done * 100)} %`;
    const moved = done - this.#startDone;
    const elapsedMs = nowMs - this.#phaseMs;
    if (moved <= 0.001 || elapsedMs < 1000) return percent;
    return `${percent}, ${leftText((elapsedMs * (1 - done)) / moved / 1000)} left`;
  }
}

const LINE_MS = 5000;

function leftText(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
