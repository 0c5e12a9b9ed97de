import { createHash } from 'node:crypto';
import { SpillFile } from '../ops/spill-file.ts';

/** Where a row goes that no stream holds. */
export type RowVerdict = number;

export interface MissingRow {
  /** Its place among all rows, as it was added. */
  readonly row: number;
  readonly verdict: RowVerdict;
}

/**
 * Among what the id of a row is looked for, where tables may have the same ids: first among what is known to be of its own
 * table, then among the entries of a stream that other tables go to as well.
 */
export interface RowScopes {
  readonly own: number;
  readonly shared: number | null;
}

/**
 * Finds the rows whose ids no stream holds, however many there are of both, in bounded memory: digests of the ids are
 * spread by their first byte over files, and the files compared one pair at a time. An id that stands in several rows
 * is missing as often as there are more rows than entries: the last ones.
 */
export class IdPartitions implements Disposable {
  readonly #held: SpillFile[] = [];
  readonly #rows: SpillFile[] = [];

  constructor() {
    for (let partition = 0; partition < PARTITION_COUNT; partition += 1) {
      this.#held.push(new SpillFile());
      this.#rows.push(new SpillFile());
    }
  }

  /** An id that a stream holds. */
  addHeld(id: string, scope = 0): void {
    const digest = digestOf(id);
    const partition = this.#held[partitionOf(digest)];
    digest.writeUInt32LE((digest.readUInt32LE(TAIL) ^ scope) >>> 0, TAIL);
    partition?.append(digest, DIGEST_BYTES);
  }

  /** The id of a row; `row` counts them in the order in which they would be published. */
  addRow(id: string, { row, verdict }: MissingRow, { own, shared }: RowScopes = ONE_SCOPE): void {
    const digest = digestOf(id);
    RECORD.set(digest);
    RECORD.writeUIntLE(row, DIGEST_BYTES, ROW_BYTES);
    RECORD.writeUInt32LE(own, OWN_SCOPE);
    RECORD.writeUInt32LE(shared ?? own, SHARED_SCOPE);
    RECORD[RECORD_BYTES - 1] = verdict;
    this.#rows[partitionOf(digest)]?.append(RECORD, RECORD_BYTES);
  }

  /** The rows that no stream holds: in order within a partition, not across them. */
  *missing(): Generator<MissingRow> {
    for (let partition = 0; partition < PARTITION_COUNT; partition += 1) {
      const rows = wholeOf(this.#rows[partition] as SpillFile);
      if (rows.length === 0) continue;
      const held = new DigestCounts(wholeOf(this.#held[partition] as SpillFile));
      for (let at = 0; at < rows.length; at += RECORD_BYTES) {
        const own = rows.readUInt32LE(at + OWN_SCOPE);
        const shared = rows.readUInt32LE(at + SHARED_SCOPE);
        if (held.take(rows, at, own) || (shared !== own && held.take(rows, at, shared))) continue;
        yield {
          row: rows.readUIntLE(at + DIGEST_BYTES, ROW_BYTES),
          verdict: rows[at + RECORD_BYTES - 1] as number,
        };
      }
    }
  }

  [Symbol.dispose](): void {
    for (const file of [...this.#held, ...this.#rows]) file[Symbol.dispose]();
  }
}

/** 128 bits: among a hundred million ids, two different ones are never taken for the same. */
function digestOf(id: string): Buffer {
  return createHash('sha256').update(id).digest().subarray(0, DIGEST_BYTES);
}

function partitionOf(digest: Buffer): number {
  return (digest[0] as number) % PARTITION_COUNT;
}

function wholeOf(file: SpillFile): Buffer {
  const all = Buffer.allocUnsafeSlow(file.byteCount);
  file.read(all, 0, 0);
  return all;
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
      const slot = this.#find(digests, index * DIGEST_BYTES, 0);
      this.#slots[slot] = index + 1;
      this.#counts[slot] = (this.#counts[slot] as number) + 1;
    }
  }

  /** Uses up one of the digest that begins at `at`, in that scope; false when none is left. */
  take(bytes: Buffer, at: number, scope: number): boolean {
    const slot = this.#find(bytes, at, scope);
    const left = this.#counts[slot] as number;
    if (left === 0) return false;
    this.#counts[slot] = left - 1;
    return true;
  }

  /** Where the digest is, or where it would go. */
  #find(bytes: Buffer, at: number, scope: number): number {
    // The first byte chose the partition; the last four are as good as random.
    const tail = (bytes.readUInt32LE(at + TAIL) ^ scope) >>> 0;
    let slot = tail & this.#mask;
    for (;;) {
      const index = (this.#slots[slot] as number) - 1;
      if (index < 0) return slot;
      const known = index * DIGEST_BYTES;
      if (this.#digests.readUInt32LE(known + TAIL) === tail && isSame(this.#digests, known, bytes, at))
        return slot;
      slot = (slot + 1) & this.#mask;
    }
  }
}

/** But for their tails. */
function isSame(a: Buffer, aAt: number, b: Buffer, bAt: number): boolean {
  for (let offset = 0; offset < TAIL; offset += 4) {
    if (a.readUInt32LE(aAt + offset) !== b.readUInt32LE(bAt + offset)) return false;
  }
  return true;
}

const PARTITION_COUNT = 64;
const DIGEST_BYTES = 16;
/** The digest's last four bytes, which a scope changes. */
const TAIL = DIGEST_BYTES - 4;
const ROW_BYTES = 6;
const OWN_SCOPE = DIGEST_BYTES + ROW_BYTES;
const SHARED_SCOPE = OWN_SCOPE + 4;
const RECORD_BYTES = SHARED_SCOPE + 4 + 1;
const ONE_SCOPE: RowScopes = { own: 0, shared: null };
const RECORD = Buffer.alloc(RECORD_BYTES);
