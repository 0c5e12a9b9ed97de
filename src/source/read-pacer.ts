/**
 * Decides when the walsender's socket is read. Under load it is left alone for a moment after each read.
 *
 * Why: the walsender makes one `send` per message, three for a transaction of one row. A reader that waits in
 * epoll is woken by each of them, and each is carried through the network stack by itself. Left alone, the socket
 * fills up to its window; what the walsender sends behind a full window is collected by the kernel and comes over
 * in one piece. On one machine that halves the CPU of the walsender and of the relay (docs/performance.md).
 *
 * No event waits for that unless at least FRAMES_BUSY small frames came within the last millisecond. Large ones are
 * worth a send of their own, and a read of 64 KB holds few of them.
 */
export class ReadPacer {
  readonly #socket: PausableSocket;
  #timer: NodeJS.Timeout | null = null;
  /** The pump's own wish (its memory is used up), kept apart from our pauses. */
  #isHeld = false;
  #isStopped = false;
  #frameCount = 0;
  #byteCount = 0;
  #windowStartMs = 0;

  constructor(socket: PausableSocket) {
    this.#socket = socket;
  }

  /** A read brought `frameCount` frames in `byteCount` bytes. `nowMs`: performance.now(). */
  read(frameCount: number, byteCount: number, nowMs: number): void {
    if (this.#isStopped) return;
    if (nowMs - this.#windowStartMs > PAUSE_MS) this.#startWindow(nowMs);
    this.#frameCount += frameCount;
    this.#byteCount += byteCount;
    if (this.#frameCount < FRAMES_BUSY || this.#timer !== null) return;
    if (this.#byteCount > this.#frameCount * SMALL_FRAME_BYTES) return;
    this.#socket.pause();
    this.#timer = setTimeout(() => this.#readOn(), PAUSE_MS);
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
    this.#isStopped = true;
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
    this.#byteCount = 0;
    this.#windowStartMs = nowMs;
  }
}

/** What of a net.Socket is needed. */
export interface PausableSocket {
  pause(): unknown;
  resume(): unknown;
}

/** Three transactions of one row within a millisecond. At 5,000 events a second the pause halves p99 on a machine that is full. */
const FRAMES_BUSY = 10;
/** A transaction of one row of 200 bytes has three frames of 150 on average; one of many rows has fewer sends a byte. */
const SMALL_FRAME_BYTES = 256;
/**
 * Not less, or two reads within one round trip make the kernel open the window wider (see READ_BYTES_MAX). Not more:
 * one read of 64 KB a millisecond is what limits a drain on fast machines, at some 60 MB a second.
 */
const PAUSE_MS = 1;
