import type { Lsn } from '../../src/core/lsn.ts';
import type { Link } from './link.ts';
import { framesOf, keepalive, RELATION_FRAME, type SimulatedTransaction, type Wal } from './wal.ts';

/** A position that a client may learn from what it was sent. */
export interface Landmark {
  readonly lsn: Lsn;
  readonly kind: 'end of transaction' | 'keepalive' | 'keepalive inside';
}

/**
 * The server's end of a stream: decides what is sent, in the order of the WAL, whole transactions, from the slot's position on; a
 * transaction whose commit record begins below it is skipped.
 */
export class Walsender {
  readonly link: Link;
  readonly #wal: Wal;
  readonly #received: (landmarks: readonly Landmark[], events: number) => void;
  readonly #emit: (bytes: Buffer) => void;
  readonly #startLsn: Lsn;
  readonly #restartLsn: Lsn;
  #next = 0;
  /** The transaction that is being sent, and how many of its frames were. */
  #current: SimulatedTransaction | null = null;
  #frameCount = 0;
  #isRelationSent = false;
  #sentLsn: Lsn;
  /** Bytes of a frame that was torn: they go out in front of what comes next. */
  #rest: Buffer = Buffer.alloc(0);
  #restLandmarks: Landmark[] = [];
  #restEvents = 0;

  constructor(options: WalsenderOptions) {
    this.link = options.link;
    this.#wal = options.wal;
    this.#startLsn = options.startLsn;
    this.#sentLsn = options.restartLsn;
    this.#restartLsn = options.restartLsn;
    this.#received = options.received;
    this.#emit = options.emit;
    this.#skip();
  }

  get isInTransaction(): boolean {
    return this.#current !== null;
  }

  /** Everything there is has been sent. */
  get isCaughtUp(): boolean {
    return !this.hasNews && this.#rest.length === 0;
  }

  get hasNews(): boolean {
    if (this.#current === null) this.#skip();
    return this.#current !== null || this.#next < this.#wal.transactions.length;
  }

  get sentLsn(): Lsn {
    return this.#sentLsn;
  }

  /**
   * What a keepalive may name. Between transactions never past one that is still to come, but also what lies below the slot's
   * position, after a reconnect. Inside of one the protocol promises nothing: "the current end of WAL on the server".
   */
  keepaliveChoices(): readonly Lsn[] {
    const next = this.#wal.transactions[this.#next];
    if (this.#current !== null)
      return [this.#sentLsn, this.#current.commitLsn, this.#current.endLsn, this.#wal.endLsn];
    return [next?.commitLsn ?? this.#wal.endLsn, this.#sentLsn, this.#restartLsn];
  }

  /** Sends up to `frameMax` frames in one piece; with a `tear`, the last of them only in part. */
  stream(frameMax: number, tear: number): string {
    const frames: Buffer[] = [this.#rest];
    const landmarks: Landmark[] = this.#restLandmarks;
    let events = this.#restEvents;
    const ids: string[] = [];
    let last: Landmark | null = null;
    let isLastEvent = false;
    for (let count = 0; count < frameMax && this.hasNews; count += 1) {
      const transaction = (this.#current ??= this.#wal.transactions[this.#next] as SimulatedTransaction);
      const all = framesOf(transaction);
      if (this.#frameCount === 1 && !this.#isRelationSent && transaction.events.length > 0) {
        frames.push(RELATION_FRAME);
        this.#isRelationSent = true;
      }
      frames.push(all[this.#frameCount] as Buffer);
      last = null;
      const event = transaction.events[this.#frameCount - 1];
      isLastEvent = event !== undefined;
      if (event !== undefined) {
        events += 1;
        ids.push(event.id);
      }
      this.#frameCount += 1;
      if (this.#frameCount === all.length) {
        last = { lsn: transaction.endLsn, kind: 'end of transaction' };
        landmarks.push(last);
        this.#sentLsn = transaction.endLsn;
        this.#current = null;
        this.#frameCount = 0;
        this.#next += 1;
        this.#skip();
      }
    }
    this.#ship(Buffer.concat(frames), landmarks, events, tear, last, isLastEvent);
    return `${ids.join(' ')}${this.#current === null ? '' : ' …'}${this.#rest.length > 0 ? ' (torn)' : ''}`;
  }

  keepalive(walEndLsn: Lsn, isReplyRequested: boolean): void {
    const kind = this.isInTransaction ? 'keepalive inside' : 'keepalive';
    const landmarks = [...this.#restLandmarks, { lsn: walEndLsn, kind } as const];
    this.#ship(
      Buffer.concat([this.#rest, keepalive(walEndLsn, isReplyRequested)]),
      landmarks,
      this.#restEvents,
      0,
      null,
      false,
    );
  }

  /** Something that is no part of the stream: an error, a message that nobody knows. */
  say(bytes: Buffer): void {
    this.#ship(Buffer.concat([this.#rest, bytes]), this.#restLandmarks, this.#restEvents, 0, null, false);
  }

  #ship(
    bytes: Buffer,
    landmarks: Landmark[],
    events: number,
    tear: number,
    last: Landmark | null,
    isLastEvent: boolean,
  ): void {
    const kept = Math.min(tear, Math.max(0, bytes.length - 1));
    const sent = bytes.subarray(0, bytes.length - kept);
    this.#rest = bytes.subarray(bytes.length - kept);
    // What the last frame says is known only when its last byte has come.
    this.#restLandmarks = kept > 0 && last !== null ? [landmarks.pop() as Landmark] : [];
    this.#restEvents = kept > 0 && isLastEvent ? 1 : 0;
    const eventCount = events - this.#restEvents;
    this.link.reply(`${sent.length} bytes of WAL`, () => {
      this.#received(landmarks, eventCount);
      this.#emit(sent);
    });
  }

  /** Past what was confirmed, and past what the publication leaves out. */
  #skip(): void {
    for (;;) {
      const transaction = this.#wal.transactions[this.#next];
      if (transaction === undefined) return;
      if (transaction.commitLsn >= this.#startLsn && transaction.isPublished) return;
      this.#next += 1;
    }
  }
}

export interface WalsenderOptions {
  readonly link: Link;
  readonly wal: Wal;
  /** Transactions that commit below it are not sent. */
  readonly startLsn: Lsn;
  /** Where decoding begins: keepalives may name positions from here on, below what was confirmed. */
  readonly restartLsn: Lsn;
  readonly received: (landmarks: readonly Landmark[], events: number) => void;
  readonly emit: (bytes: Buffer) => void;
}
