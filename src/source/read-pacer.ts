/**
 * Decides when the socket of the walsender is read. Under load it is left alone for a millisecond between reads.
 *
 * Why: the walsender makes one `send` per message, three for a transaction of one row. A reader that waits in
 * epoll is woken by each of them and reads 300 bytes a time, and both sides spend more on the waking than on the
 * work. Left alone, the socket collects some 50 KB, and sender, reader and Redis all do fewer and larger things: on
 * two cores a drain runs 1.5 to 1.8 times as fast (docs/performance.md).
 *
 * No event waits for this unless at least FRAMES_BUSY frames came within the last millisecond.
 */
export class ReadPacer {
  readonly #socket: PausableSocket;
  #timer: NodeJS.Timeout | null = null;
  /** The pump's own wish (its memory is used up), kept apart from our pauses. */
  #isHeld = false;
  #frameCount = 0;
  #windowStartMs = 0;

  constructor(socket: PausableSocket) {
    this.#socket = socket;
  }

  /** A read brought `frameCount` frames in `byteCount` bytes. `nowMs`: performance.now(). */
  read(frameCount: number, byteCount: number, nowMs: number): void {
    if (nowMs - this.#windowStartMs > PAUSE_MS) this.#startWindow(nowMs);
    this.#frameCount += frameCount;
    // More is waiting than fits into one read: what is here already costs no waking.
    if (byteCount >= FULL_READ_BYTES || this.#timer !== null) return;
    if (this.#frameCount < FRAMES_BUSY) return;
    this.#socket.pause();
    this.#timer = setTimeout(() => this.#resumeAfterPause(), PAUSE_MS);
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

  #resumeAfterPause(): void {
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
/** Two milliseconds were slower: the socket's buffer fills and the walsender waits. */
const PAUSE_MS = 1;
/** What Node reads at most in one go when it brings its own buffer. */
const FULL_READ_BYTES = 64 * 1024;
