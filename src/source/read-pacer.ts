/**
 * Decides when the walsender's socket is read. Under load it is left alone for a moment after each read.
 *
 * Why: the walsender makes one `send` per message, three for a transaction of one row. A reader that waits in
 * epoll is woken by each of them, and each is carried through the network stack by itself. Left alone, the socket
 * fills up to its window; what the walsender sends behind a full window is collected by the kernel and comes over
 * in one piece. On one machine that halves the CPU of the walsender and of the relay (docs/performance.md).
 *
 * The next read comes a millisecond later; after a read that filled the buffer, which means that more is waiting,
 * with the next answer of Redis. No event waits for either unless at least FRAMES_BUSY frames came within the last millisecond.
 */
export class ReadPacer {
  readonly #socket: PausableSocket;
  readonly #fullReadBytes: number;
  #timer: NodeJS.Timeout | null = null;
  /** Of the read that the pause follows. */
  #readAtMs = 0;
  #isFull = false;
  /** The pump's own wish (its memory is used up), kept apart from our pauses. */
  #isHeld = false;
  #frameCount = 0;
  #windowStartMs = 0;

  /** `fullReadBytes`: what one read brings at most. */
  constructor(socket: PausableSocket, fullReadBytes: number) {
    this.#socket = socket;
    this.#fullReadBytes = fullReadBytes;
  }

  /** A read brought `frameCount` frames in `byteCount` bytes. `nowMs`: performance.now(). */
  read(frameCount: number, byteCount: number, nowMs: number): void {
    if (nowMs - this.#windowStartMs > PAUSE_MS) this.#startWindow(nowMs);
    this.#frameCount += frameCount;
    if (this.#frameCount < FRAMES_BUSY || this.#timer !== null) return;
    this.#readAtMs = nowMs;
    this.#isFull = byteCount >= this.#fullReadBytes;
    this.#socket.pause();
    this.#timer = setTimeout(() => this.#readOn(), PAUSE_MS);
  }

  /** Redis has taken a batch. */
  accepted(nowMs: number): void {
    if (this.#timer === null || !this.#isFull || nowMs - this.#readAtMs < FULL_READ_SPACING_MS) return;
    clearTimeout(this.#timer);
    this.#readOn();
  }

  /** Reads nothing until `release`. */
  hold(): void {
    this.#isHeld = true;
    this.#socket.pause();
  }

  release(): void {
    this.#isHeld = false;
    if (this.#timer === null) this.#socket.resume();
  }

  /** Paces no more; the socket is whoever's who calls this. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #readOn(): void {
    this.#timer = null;
    this.#startWindow(performance.now());
    if (!this.#isHeld) this.#socket.resume();
  }

  #startWindow(nowMs: number): void {
    this.#frameCount = 0;
    this.#windowStartMs = nowMs;
  }
}

/** What of a net.Socket is needed. */
export interface PausableSocket {
  pause(): unknown;
  resume(): unknown;
}

/** Ten transactions of one row within a millisecond: ten thousand a second. */
const FRAMES_BUSY = 30;
const PAUSE_MS = 1;
/** Full reads that follow one another faster make the kernel open the window wider: see READ_BYTES_MAX. */
const FULL_READ_SPACING_MS = 0.7;
