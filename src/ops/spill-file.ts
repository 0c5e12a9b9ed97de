import { closeSync, mkdtempSync, openSync, readSync, rmdirSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Bytes that are appended and read back, in a temporary file beyond the first few. The file loses its name as soon as it is
 * open, so that nothing is left behind, not even by a kill -9.
 */
export class SpillFile implements Disposable {
  readonly #dir: string;
  #buffer: Buffer | null = null;
  /** What stands in the buffer and not yet in the file. */
  #length = 0;
  #file: number | null = null;
  #fileLength = 0;

  constructor(dir: string = tmpdir()) {
    this.#dir = dir;
  }

  get byteCount(): number {
    return this.#fileLength + this.#length;
  }

  /** Appends the first `length` bytes, which must fit into the buffer. */
  append(bytes: Buffer, length: number): void {
    this.#buffer ??= Buffer.allocUnsafeSlow(SPILL_BUFFER_BYTES);
    if (this.#length + length > SPILL_BUFFER_BYTES) this.#flush(this.#buffer);
    bytes.copy(this.#buffer, this.#length, 0, length);
    this.#length += length;
  }

  /** Copies what was appended from `from` on to `into`, from `at` on and up to its end. Returns how many bytes. */
  read(into: Buffer, at: number, from: number): number {
    const count = Math.min(into.length - at, this.byteCount - from);
    let done = 0;
    const inFile = Math.min(count, Math.max(0, this.#fileLength - from));
    while (this.#file !== null && done < inFile) {
      const got = readSync(this.#file, into, at + done, inFile - done, from + done);
      if (got === 0) throw new Error('a temporary file is shorter than what was written to it');
      done += got;
    }
    if (done < count) {
      const start = from + done - this.#fileLength;
      this.#buffer?.copy(into, at + done, start, start + count - done);
    }
    return count;
  }

  [Symbol.dispose](): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #flush(buffer: Buffer): void {
    this.#file ??= openNameless(this.#dir);
    let at = 0;
    while (at < this.#length) {
      at += writeSync(this.#file, buffer, at, this.#length - at, this.#fileLength + at);
    }
    this.#fileLength += this.#length;
    this.#length = 0;
  }
}

function openNameless(parent: string): number {
  const dir = mkdtempSync(join(parent, 'walrelay-'));
  const path = join(dir, 'spill');
  const file = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  rmdirSync(dir);
  return file;
}

/** There are hundreds of them at once. */
const SPILL_BUFFER_BYTES = 32 * 1024;
