import { highHalf, lowHalf } from '../core/int64.ts';
import { type Lsn, ZERO_LSN } from '../core/lsn.ts';
import { CommitTimeFormatter } from './commit-time.ts';

/**
 * What all events of one transaction share, rendered once per transaction and without a string: at one row per
 * transaction it is rendered for every event.
 */
export class TransactionStamp {
  commitLsn: Lsn = ZERO_LSN;
  /** Microseconds since 2000-01-01 UTC. */
  committedAtUs = 0n;
  /** The commit LSN as Postgres writes it: `lsnText[0, lsnLength)`, valid until the next `set`. */
  readonly lsnText: Buffer = Buffer.alloc(LSN_TEXT_MAX);
  lsnLength = 0;
  /** ISO 8601, valid until the next `set`. */
  committedAtText: Buffer = Buffer.alloc(0);
  readonly #formatter = new CommitTimeFormatter();

  /** `committedAtUs`: as Begin carries it. */
  set(commitLsn: Lsn, committedAtUs: bigint): void {
    this.commitLsn = commitLsn;
    this.committedAtUs = committedAtUs;
    const slash = putHex(this.lsnText, 0, highHalf(commitLsn));
    this.lsnText[slash] = SLASH;
    this.lsnLength = putHex(this.lsnText, slash + 1, lowHalf(commitLsn));
    this.committedAtText = this.#formatter.format(committedAtUs);
  }
}

/** Upper case, without leading zeros, as `%X`; returns where it ends. */
function putHex(bytes: Buffer, at: number, value: number): number {
  const end = at + Math.max(1, (35 - Math.clz32(value)) >> 2);
  let rest = value;
  for (let index = end - 1; index >= at; index -= 1) {
    const digit = rest & 0xf;
    bytes[index] = digit < 10 ? 0x30 + digit : 0x37 + digit;
    rest >>>= 4;
  }
  return end;
}

const SLASH = 0x2f;
/** `FFFFFFFF/FFFFFFFF` */
const LSN_TEXT_MAX = 17;
