import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, rmdirSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where a row goes that no stream holds. */
export type RowVerdict = number;

export interface MissingRow {
  /** Its place among all rows, as it was added. */
  readonly row: number;
  readonly verdict: RowVerdict;
}

/**
 * Finds the rows whose ids no stream holds, however many there are of both, in bounded memory: digests of the ids are
 * spread by their first byte over files, and the files compared one pair at a time. An id that stands in several rows
 * is missing as often as there are more rows than entries: the last ones.
 *
 * The files lose their names as soon as they are open, so that nothing is left behind, not even by a kill -9.
 */
export class IdPartitions implements Disposable {
  readonly #held: Spill[] = [];
  readonly #rows: Spill[] = [];

  constructor() {
    for (let partition = 0; partition < PARTITION_COUNT; partition += 1) {
      this.#held.push(new Spill());
      this.#rows.push(new Spill());
    }
  }

  /** An id that a stream holds. */
  addHeld(id: string): void {
    const digest = digestOf(id);
    this.#held[partitionOf(digest)]?.append(digest, DIGEST_BYTES);
  }

  /** The id of a row; `row` counts them in the order in which they would be published. */
  addRow(id: string, row: number, verdict: RowVerdict): void {
    const digest = digestOf(id);
    RECORD.set(digest);
    RECORD.writeUIntLE(row, DIGEST_BYTES, ROW_BYTES);
    RECORD[RECORD_BYTES - 1] = verdict;
    this.#rows[partitionOf(digest)]?.append(RECORD, RECORD_BYTES);
  }

  /** The rows that no stream holds: in order within a partition, not across them. */
  *missing(): Generator<MissingRow> {
    for (let partition = 0; partition < PARTITION_COUNT; partition += 1) {
      const rows = (this.#rows[partition] as Spill).read();
      if (rows.length === 0) continue;
      const held = new DigestCounts((this.#held[partition] as Spill).read());
      for (let at = 0; at < rows.length; at += RECORD_BYTES) {
        if (held.take(rows, at)) continue;
        yield {
          row: rows.readUIntLE(at + DIGEST_BYTES, ROW_BYTES),
          verdict: rows[at + RECORD_BYTES - 1] as number,
        };
      }
    }
  }

  [Symbol.dispose](): void {
    for (const spill of [...this.#held, ...this.#rows]) spill.close();
  }
}

/** 128 bits: among a hundred million ids, two different ones are never taken for the same. */
function digestOf(id: string): Buffer {
  return createHash('sha256').update(id).digest().subarray(0, DIGEST_BYTES);
}

function partitionOf(digest: Buffer): number {
  return (digest[0] as number) % PARTITION_COUNT;
}

/** Bytes that are written once and then read whole; on disk beyond the first few. */
class Spill {
  #buffer: Buffer | null = null;
  #length = 0;
  #file: number | null = null;
  #fileLength = 0;

  append(bytes: Buffer, length: number): void {
    this.#buffer ??= Buffer.allocUnsafeSlow(BUFFER_BYTES);
    if (this.#length + length > BUFFER_BYTES) this.#flush(this.#buffer);
    bytes.copy(this.#buffer, this.#length, 0, length);
    this.#length += length;
  }

  read(): Buffer {
    const all = Buffer.allocUnsafeSlow(this.#fileLength + this.#length);
    let at = 0;
    while (this.#file !== null && at < this.#fileLength) {
      const count = readSync(this.#file, all, at, this.#fileLength - at, at);
      if (count === 0) throw new Error('a temporary file is shorter than what was written to it');
      at += count;
    }
    this.#buffer?.copy(all, at, 0, this.#length);
    return all;
  }

  close(): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #flush(buffer: Buffer): void {
    this.#file ??= openNameless();
    let at = 0;
    while (at < this.#length) {
      at += writeSync(this.#file, buffer, at, this.#length - at, this.#fileLength + at);
    }
    this.#fileLength += this.#length;
    this.#length = 0;
  }
}

function openNameless(): number {
  const dir = mkdtempSync(join(tmpdir(), 'walrelay-'));
  const path = join(dir, 'ids');
  const file = openSync(path, 'wx+', 0o600);
  unlinkSync(path);
  rmdirSync(dir);
  return file;
}

/** A table of the digests of one partition, with how often each was there. */
class DigestCounts {
  readonly #digests: Buffer;
  /** Places of digests, plus one; 0 is free. */
  readonly #slots: Uint32Array;
  readonly #counts: Uint32Array;
  readonly #mask: number;

  constructor(digests: Buffer) {
    const count = digests.length / DIGEST_BYTES;
    this.#digests = digests;
    const size = 2 ** Math.ceil(Math.log2(Math.max(2, count * 2)));
    this.#mask = size - 1;
    this.#slots = new Uint32Array(size);
    this.#counts = new Uint32Array(size);
    for (let index = 0; index < count; index += 1) {
      const slot = this.#find(digests, index * DIGEST_BYTES);
      this.#slots[slot] = index + 1;
      this.#counts[slot] = (this.#counts[slot] as number) + 1;
    }
  }

  /** Uses up one of the digest that begins at `at`; false when none is left. */
  take(bytes: Buffer, at: number): boolean {
    const slot = this.#find(bytes, at);
    const left = this.#counts[slot] as number;
    if (left === 0) return false;
    this.#counts[slot] = left - 1;
    return true;
  }

  /** Where the digest is, or where it would go. */
  #find(bytes: Buffer, at: number): number {
    // The first byte chose the partition; the last four are as good as random.
    let slot = bytes.readUInt32LE(at + DIGEST_BYTES - 4) & this.#mask;
    for (;;) {
      const index = (this.#slots[slot] as number) - 1;
      if (index < 0 || isSame(this.#digests, index * DIGEST_BYTES, bytes, at)) return slot;
      slot = (slot + 1) & this.#mask;
    }
  }
}

function isSame(a: Buffer, aAt: number, b: Buffer, bAt: number): boolean {
  for (let offset = 0; offset < DIGEST_BYTES; offset += 4) {
    if (a.readUInt32LE(aAt + offset) !== b.readUInt32LE(bAt + offset)) return false;
  }
  return true;
}

const PARTITION_COUNT = 64;
const BUFFER_BYTES = 64 * 1024;
const DIGEST_BYTES = 16;
const ROW_BYTES = 6;
const RECORD_BYTES = DIGEST_BYTES + ROW_BYTES + 1;
const RECORD = Buffer.alloc(RECORD_BYTES);
