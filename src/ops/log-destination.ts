import { fsyncSync, write, writeSync } from 'node:fs';

/** What waits while nobody reads the log; beyond it, lines are counted and dropped. */
const WAITING_BYTES_MAX = 1024 * 1024;
const RETRY_MS = 100;
const FINAL_FLUSH_MS = 1000;
const TURN_MS = 50;
const STALLED_AFTER_TURNS = 4;

/**
 * Writes log lines to a file descriptor without ever stopping the relay. A synchronous writer would stand still with
 * a stalled reader of the pipe, and with it the status updates; pino's own (sonic-boom) keeps a failed chunk for ever
 * and spins in its final flush while the disk is full. Here a full disk or a closed pipe costs lines, nothing else,
 * and the first line that gets through again is preceded by one that tells how many were lost.
 */
export class LogDestination {
  readonly #fd: number;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #isWriting = false;
  /** Turns of the event loop that the write has outlasted: a process that slept, or was busy, proves nothing. */
  #turns = 0;
  #turnTimer: NodeJS.Timeout | null = null;
  #lostLines = 0;
  #lostReason = '';
  /** Of the chunk being written: its lines, and how many lost lines it reports. */
  #chunkLines = 0;
  #reportedLines = 0;
  #isMidLine = false;

  constructor({ fd }: { fd: number }) {
    this.#fd = fd;
  }

  get lostLines(): number {
    return this.#lostLines;
  }

  /**
   * A write has not come back. While it blocks a thread of the pool, process.exit() waits for that thread: only
   * SIGKILL, also one's own, ends the process then.
   */
  get isStalled(): boolean {
    return this.#isWriting && this.#turns >= STALLED_AFTER_TURNS;
  }

  /** Takes one line with its newline. Never throws, never blocks. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > WAITING_BYTES_MAX) {
      this.#lose(1, 'nobody reads the log');
    } else {
      this.#waiting.push(bytes);
      this.#waitingBytes += bytes.length;
    }
    if (!this.#isWriting) this.#writeWaiting();
  }

  /**
   * Writes out what waits, for the moment before the process ends; gives up on a failing disk, and after a second on
   * a reader that has stalled. Give it to `process.on('exit')`.
   */
  flushSync(): void {
    if (this.#isWriting) {
      // A pipe whose reader has stalled would hold writeSync, and with it the exit, for ever.
      if (this.isStalled) return;
      // A write already handed to the thread pool can't be awaited here, only given the time to land.
      sleepSync(20);
    }
    const deadlineMs = Date.now() + FINAL_FLUSH_MS;
    let rest = this.#takeWaiting();
    while (rest.length > 0) {
      try {
        rest = rest.subarray(writeSync(this.#fd, rest));
      } catch (error) {
        if (!isBusy(error) || Date.now() > deadlineMs) break;
        sleepSync(10);
      }
    }
    try {
      fsyncSync(this.#fd);
    } catch {
      // Pipes and terminals have no fsync.
    }
  }

  #writeWaiting(): void {
    const chunk = this.#takeWaiting();
    if (chunk.length === 0) return;
    this.#isWriting = true;
    this.#turns = 0;
    this.#turnTimer ??= setInterval(() => {
      this.#turns += 1;
    }, TURN_MS).unref();
    this.#writeChunk(chunk);
  }

  #written(): void {
    this.#isWriting = false;
    if (this.#turnTimer !== null) clearInterval(this.#turnTimer);
    this.#turnTimer = null;
  }

  #writeChunk(chunk: Buffer): void {
    write(this.#fd, chunk, (error, written) => {
      if (error !== null && isBusy(error)) {
        // A non-blocking pipe whose reader has stalled: the chunk waits, further lines gather up to the limit.
        setTimeout(() => this.#writeChunk(chunk), RETRY_MS).unref();
        return;
      }
      if (error !== null) {
        this.#written();
        this.#lose(Math.min(countLines(chunk), this.#chunkLines), error.code ?? error.message);
        // No retry from here: the next line is the next attempt, so a dead log costs one call per line.
        return;
      }
      this.#isMidLine = written < chunk.length;
      if (this.#isMidLine) {
        this.#writeChunk(chunk.subarray(written));
        return;
      }
      this.#lostLines -= this.#reportedLines;
      this.#written();
      this.#writeWaiting();
    });
  }

  #takeWaiting(): Buffer {
    const lines = this.#waiting;
    if (lines.length === 0) return Buffer.alloc(0);
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#chunkLines = lines.length;
    this.#reportedLines = this.#lostLines;
    if (this.#lostLines > 0) lines.unshift(this.#lossReport());
    // The failed write had got as far as the middle of a line.
    if (this.#isMidLine) lines.unshift(Buffer.from('\n'));
    return Buffer.concat(lines);
  }

  #lossReport(): Buffer {
    const report = {
      level: 'warn',
      time: new Date().toISOString(),
      component: 'log',
      lines: this.#lostLines,
      reason: this.#lostReason,
      msg: 'log lines were lost',
    };
    return Buffer.from(`${JSON.stringify(report)}\n`);
  }

  #lose(lines: number, reason: string): void {
    this.#lostLines += lines;
    this.#lostReason = reason;
  }
}

function countLines(chunk: Buffer): number {
  let lines = 0;
  for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) lines += 1;
  return lines;
}

function isBusy(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EAGAIN' || error.code === 'EBUSY');
}

function sleepSync(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}
