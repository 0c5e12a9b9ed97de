import { Socket } from 'node:net';

/**
 * A socket whose reads all land in one buffer, again and again. Node otherwise allocates 64 KB for each read, and at
 * 50 MB a second the garbage, not the events, would decide how large the process gets.
 *
 * Until `takeOver` it is a socket like any other: what comes is copied and emitted as 'data'.
 */
export class FixedBufferSocket {
  readonly socket: Socket;
  #take: ((chunk: Buffer) => void) | null = null;

  constructor() {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES_MAX);
    this.socket = new Socket({
      onread: {
        buffer,
        callback: (byteCount: number) => {
          const chunk = buffer.subarray(0, byteCount);
          if (this.#take === null) this.socket.emit('data', Buffer.from(chunk));
          else this.#take(chunk);
          return true;
        },
      },
    } as ConstructorParameters<typeof Socket>[0]);
  }

  /** From here on `take` gets what is read; it may use the bytes during the call only. */
  takeOver(take: (chunk: Buffer) => void): void {
    this.#take = take;
  }
}

/**
 * What one read brings at most. As much as the kernel's receive window holds at first: whoever reads more at a time
 * makes it grow, and in front of an open window every message of the walsender travels by itself. With 128 KB the
 * walsender took twice the CPU (docs/performance.md).
 */
const READ_BYTES_MAX = 64 * 1024;
