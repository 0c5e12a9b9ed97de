import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AuditRecord,
  hasRecord,
  RECORD_BYTES_MAX,
  readRecord,
  recordEnd,
  writeRecord,
} from './audit-record.ts';
import { KEY_BYTES } from './event-digest.ts';

/**
 * Rows and entries in temporary files, partitioned by the first byte of their key, so that what belongs together can be
 * compared a part at a time: memory holds one part, whatever the number of rows. The files hold event ids and digests,
 * no payloads; they go with dispose.
 */
export class Spool implements Disposable {
  readonly #dir: string;
  readonly #partBytesMax: number;
  readonly #partitions: Partition[] = [];
  byteCount = 0;

  /** `partBytesMax`: how much of a partition is compared at once. */
  constructor(options: { readonly dir?: string | undefined; readonly partBytesMax?: number } = {}) {
    this.#dir = mkdtempSync(join(options.dir ?? tmpdir(), 'walrelay-audit-'));
    this.#partBytesMax = options.partBytesMax ?? PART_BYTES_MAX;
  }

  add(record: AuditRecord): void {
    const number = record.key[0] as number;
    let partition = this.#partitions[number];
    if (partition === undefined) {
      const file = openSync(join(this.#dir, String(number)), 'w+', 0o600);
      partition = { file, bytes: Buffer.allocUnsafe(BUFFER_BYTES), length: 0, written: 0 };
      this.#partitions[number] = partition;
    }
    if (partition.length + RECORD_BYTES_MAX > BUFFER_BYTES) flush(partition);
    const end = writeRecord(partition.bytes, partition.length, record);
    this.byteCount += end - partition.length;
    partition.length = end;
  }

  /** Everything that was added, in groups of one key. Each group is whole, and valid until the next. */
  *groups(): Generator<AuditRecord[]> {
    for (const partition of this.#partitions) {
      if (partition === undefined) continue;
      flush(partition);
      const passes = Math.max(1, Math.ceil(partition.written / this.#partBytesMax));
      for (let pass = 0; pass < passes; pass += 1) yield* groupsOf(partition, { pass, passes });
    }
  }

  [Symbol.dispose](): void {
    for (const partition of this.#partitions) if (partition !== undefined) closeSync(partition.file);
    this.#partitions.length = 0;
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

interface Partition {
  readonly file: number;
  readonly bytes: Buffer;
  /** What stands in `bytes` and not yet in the file. */
  length: number;
  written: number;
}

const BUFFER_BYTES = 32 * 1024;
const PART_BYTES_MAX = 32 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;

function flush(partition: Partition): void {
  let done = 0;
  while (done < partition.length) {
    done += writeSync(
      partition.file,
      partition.bytes,
      done,
      partition.length - done,
      partition.written + done,
    );
  }
  partition.written += partition.length;
  partition.length = 0;
}

/**
 * The groups of one pass. A partition that is larger than memory may be is read several times, each time keeping only
 * the keys whose second byte falls to the pass.
 */
function* groupsOf(
  partition: Partition,
  { pass, passes }: { readonly pass: number; readonly passes: number },
): Generator<AuditRecord[]> {
  const kept: Buffer[] = [];
  const carry = { bytes: Buffer.allocUnsafe(READ_BYTES + RECORD_BYTES_MAX), length: 0 };
  for (let from = 0; from < partition.written; ) {
    const got = readSync(partition.file, carry.bytes, carry.length, READ_BYTES, from);
    if (got === 0) break;
    from += got;
    const end = carry.length + got;
    const chunk: Buffer[] = [];
    let at = 0;
    while (hasRecord(carry.bytes, at, end)) {
      const next = recordEnd(carry.bytes, at);
      if (passes === 1 || (carry.bytes[at + 1] as number) % passes === pass) {
        chunk.push(carry.bytes.subarray(at, next));
      }
      at = next;
    }
    kept.push(Buffer.concat(chunk));
    carry.bytes.copyWithin(0, at, end);
    carry.length = end - at;
  }
  yield* groupsIn(Buffer.concat(kept));
}

/** Chains the records of each key through an array, so that nothing but a map of keys is made for millions of them. */
function* groupsIn(bytes: Buffer): Generator<AuditRecord[]> {
  const heads = new Map<string, number>();
  const starts: number[] = [];
  const nexts: number[] = [];
  for (let at = 0; at < bytes.length; at = recordEnd(bytes, at)) {
    const key = bytes.toString('latin1', at, at + KEY_BYTES);
    const index = starts.push(at) - 1;
    nexts.push(heads.get(key) ?? -1);
    heads.set(key, index);
  }
  for (const head of heads.values()) {
    const group: AuditRecord[] = [];
    for (let index = head; index !== -1; index = nexts[index] as number) {
      group.push(readRecord(bytes, starts[index] as number));
    }
    yield group.toReversed();
  }
}
