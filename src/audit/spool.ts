import { SpillFile } from '../ops/spill-file.ts';
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
 * no payloads.
 */
export class Spool implements Disposable {
  readonly #dir: string | undefined;
  readonly #partBytesMax: number;
  readonly #partitions: SpillFile[] = [];
  readonly #record = Buffer.allocUnsafeSlow(RECORD_BYTES_MAX);
  byteCount = 0;

  /** `partBytesMax`: how much of a partition is compared at once. */
  constructor(options: { readonly dir?: string | undefined; readonly partBytesMax?: number } = {}) {
    this.#dir = options.dir;
    this.#partBytesMax = options.partBytesMax ?? PART_BYTES_MAX;
  }

  add(record: AuditRecord): void {
    const length = writeRecord(this.#record, 0, record);
    const partition = (this.#partitions[record.key[0] as number] ??= new SpillFile(this.#dir));
    partition.append(this.#record, length);
    this.byteCount += length;
  }

  /** Everything that was added, in groups of one key. Each group is whole, and valid until the next. */
  *groups(): Generator<AuditRecord[]> {
    for (const partition of this.#partitions) {
      if (partition === undefined) continue;
      const passes = Math.max(1, Math.ceil(partition.byteCount / this.#partBytesMax));
      for (let pass = 0; pass < passes; pass += 1) yield* groupsOf(partition, { pass, passes });
    }
  }

  [Symbol.dispose](): void {
    for (const partition of this.#partitions) partition?.[Symbol.dispose]();
    this.#partitions.length = 0;
  }
}

const PART_BYTES_MAX = 32 * 1024 * 1024;
const READ_BYTES = 1024 * 1024;

/**
 * The groups of one pass. A partition that is larger than memory may be is read several times, each time keeping only
 * the keys whose second byte falls to the pass.
 */
function* groupsOf(
  partition: SpillFile,
  { pass, passes }: { readonly pass: number; readonly passes: number },
): Generator<AuditRecord[]> {
  const kept: Buffer[] = [];
  const carry = { bytes: Buffer.allocUnsafe(READ_BYTES + RECORD_BYTES_MAX), length: 0 };
  for (let from = 0; from < partition.byteCount; ) {
    const got = partition.read(carry.bytes, carry.length, from);
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
