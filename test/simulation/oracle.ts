import type { ErrorCode } from '../../src/core/error-codes.ts';
import { formatLsn, type Lsn, lsnFromHex, maxLsn, readLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import { ORIGIN, type Position, comparePositions, formatPosition, positionFromHex, positionToHex } from '../../src/core/position.ts';
import type { Link } from './link.ts';
import type { PostgresNode } from './postgres-node.ts';
import type { RedisNode, RedisObserver, ScriptName } from './redis-node.ts';
import type { StreamEntry } from './script-model.ts';
import type { RelayProcess } from './relay-process.ts';
import { Violation } from './violation.ts';
import type { SimulatedEvent } from './wal.ts';
import type { Landmark } from './walsender.ts';

/**
 * Knows what was committed, looks at everything that reaches a server, and throws a Violation as soon as a promise of the design
 * (I1 to I7) is broken. It never looks into the relay.
 */
export class Oracle implements RedisObserver {
  readonly #postgres: PostgresNode;
  readonly #laneKey: string;
  /** What must come into the streams, in this order; ends in front of an event that can't pass. */
  #expected: SimulatedEvent[] = [];
  #readTransactions = 0;
  #isBlocked = false;
  /** How many of them stand in Redis. */
  #count = 0;
  /** The highest floor that was ever noted in this history. */
  #floorEver: Lsn = ZERO_LSN;
  readonly #lengths = new Map<string, number>();
  /** The Redis connection that raised the fence last. */
  #fenceHolder: Link | null = null;
  /** What a connection to an earlier life of Redis may believe. */
  readonly #endOfLife = new Map<number, Knowledge>();
  readonly #sessions = new Map<Link, StreamKnowledge>();
  /** Reasons to stop that the schedule has given. */
  readonly #excuses = new Set<ErrorCode>();
  #firstUnpublishedLsn: Lsn | null = null;
  /** The histories that promotions have ended, as they were then, and where the next one left each. */
  readonly #branches: { readonly expected: readonly SimulatedEvent[]; readonly forkLsn: Lsn }[] = [];
  /** In which history a session began, by its Redis connection. */
  readonly #branchOf = new Map<Link, number>();
  /** Redis holds something of an ended history, from behind this fork. */
  #taintLsn: Lsn | null = null;
  appendedEvents = 0;

  constructor(postgres: PostgresNode, laneKey: string) {
    this.#postgres = postgres;
    this.#laneKey = laneKey;
    this.#floorEver = postgres.slotLsn;
  }

  excuse(...codes: ErrorCode[]): void {
    for (const code of codes) this.#excuses.add(code);
  }

  // ---- Redis

  ran(node: RedisNode, link: Link, script: ScriptName, _keys: readonly string[], args: readonly (string | Buffer)[]): void {
    const lane = node.state.hashes.get(this.#laneKey);
    if (lane === undefined) return;
    if (script === 'fence') {
      this.#fenceHolder = link;
      this.#branchOf.set(link, this.#branches.length);
      return;
    }
    if (link !== this.#fenceHolder || String(args[1]) !== lane.get('fence'))
      throw new Violation('I3 written by a session that no longer holds the fence', link.name);
    if (script === 'floor') this.#floorEver = maxLsn(this.#floorEver, floorOf(node, this.#laneKey) ?? ZERO_LSN);
    if (script === 'append') this.#appended(node, link);
    this.#taint(node, this.#branchOf.get(link) ?? 0);
  }

  lifeEnds(node: RedisNode): void {
    this.#endOfLife.set(node.life, this.#knowledge(node));
  }

  /** Redis is back, perhaps without its last writes. */
  lost(node: RedisNode): void {
    this.#lengths.clear();
    let count = 0;
    for (const [key, entries] of node.state.streams) {
      this.#lengths.set(key, entries.length);
      count += entries.length;
    }
    this.#count = count;
    if (this.#taintLsn !== null && !this.#isBeyond(this.#taintLsn, node)) this.#taintLsn = null;
    if (!node.state.hashes.has(this.#laneKey)) this.excuse('LANE_MISSING');
  }

  #appended(node: RedisNode, link: Link): void {
    const fresh: StreamEntry[] = [];
    for (const [key, entries] of node.state.streams) {
      const before = this.#lengths.get(key) ?? 0;
      if (entries.length === before) continue;
      this.#lengths.set(key, entries.length);
      for (const entry of entries.slice(before)) {
        if (key !== `outbox.${entry['aggregate_type']}`) throw new Violation('G3 an entry in a foreign stream', key);
        fresh.push(entry);
      }
      for (let at = Math.max(1, before); at < entries.length; at += 1) {
        if (sortKey(entries[at - 1]) >= sortKey(entries[at]))
          throw new Violation('I1 a stream that is not in commit order', `${key} at ${at}`);
      }
    }
    if (fresh.length === 0) return;
    fresh.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
    const branch = this.#branchOf.get(link) ?? 0;
    if (this.#taintLsn !== null && branch === this.#branches.length) throw new Violation('G4 appended to a history that Redis knew to be another', fresh[0]?.['id']);
    const expected = this.#branches[branch]?.expected ?? this.expected();
    for (const entry of fresh) {
      const event = expected[this.#count];
      if (event === undefined || entry['id'] !== event.id)
        throw new Violation('I1 not the next event of the history', `${entry['id']} instead of ${event?.id ?? 'nothing'}`);
      if (entry['payload'] !== event.payload || sortKey(entry) !== positionToHex(event.position))
        throw new Violation('G7 an entry that is not what was committed', event.id);
      this.#count += 1;
      this.appendedEvents += 1;
    }
  }

  // ---- Postgres

  streamStarts(link: Link, node: RedisNode): void {
    const floor = floorOf(node, this.#laneKey);
    const { slotLsn } = this.#postgres;
    // A session whose Redis has gone in the meantime will not write.
    const isConnected = redisLinkOf(link.owner)?.serverLife === node.life;
    if (floor !== null && floor < slotLsn && isConnected)
      throw new Violation('G4 streams although Redis is behind the slot', `${formatLsn(floor)} < ${formatLsn(slotLsn)}`);
    this.#sessions.set(link, { startLsn: slotLsn, lastLsn: slotLsn, receivedLsn: slotLsn, landmarks: new Set([slotLsn]), branch: this.#branches.length });
  }

  streamReceived(link: Link, landmarks: readonly Landmark[]): void {
    const session = this.#sessions.get(link);
    for (const { lsn, kind } of landmarks) {
      if (kind === 'keepalive inside') continue;
      session?.landmarks.add(lsn);
      if (session !== undefined) session.receivedLsn = maxLsn(session.receivedLsn, lsn);
    }
  }

  statusSent(process: RelayProcess, link: Link, message: Buffer, redis: RedisNode): void {
    const session = this.#sessions.get(link);
    if (session === undefined) throw new Violation('a status update on a connection that does not stream');
    const lsn = readLsn(message, 9);
    const text = `${formatLsn(lsn)} by ${process.name}`;
    if (lsn < session.lastLsn) throw new Violation('I5 confirmed backwards', `${text} after ${formatLsn(session.lastLsn)}`);
    if (lsn > session.receivedLsn) throw new Violation('I5 confirmed more than was received', text);
    if (lsn > session.lastLsn && !session.landmarks.has(lsn)) throw new Violation('I5 confirmed a position that nobody named', text);
    session.lastLsn = lsn;
    if (lsn > session.startLsn) this.#checkDurable(process, lsn, redis, session.branch, text);
  }

  #checkDurable(process: RelayProcess, lsn: Lsn, redis: RedisNode, branch: number, text: string): void {
    const life = redisLinkOf(process)?.serverLife ?? redis.life;
    const known = life === redis.life ? this.#knowledge(redis) : (this.#endOfLife.get(life) as Knowledge);
    if (known.floorLsn === null || known.floorLsn < lsn)
      throw new Violation('I4 confirmed before the floor was noted', `${text}, floor ${known.floorLsn === null ? 'none' : formatLsn(known.floorLsn)}`);
    const missing = (this.#branches[branch]?.expected ?? this.expected())[known.count];
    if (missing !== undefined && missing.position.commitLsn < lsn)
      throw new Violation('I4 confirmed what Redis does not hold', `${text}, ${missing.id} at ${formatPosition(missing.position)} is missing`);
  }

  /** After every step. */
  check(redis: RedisNode): void {
    const { slotLsn } = this.#postgres;
    const floor = floorOf(redis, this.#laneKey);
    const expected = this.expected();
    if (slotLsn > this.#floorEver) throw new Violation('I4 the slot is ahead of every floor', formatLsn(slotLsn));
    if (floor !== null && floor < slotLsn) this.excuse('REDIS_BEHIND');
    const unpublished = this.#firstUnpublishedLsn;
    if (unpublished !== null && slotLsn > unpublished)
      throw new Violation('G4 confirmed past a time without publication', formatLsn(slotLsn));
    if (this.#taintLsn !== null) return;
    const watermark = watermarkOf(redis, this.#laneKey);
    if (watermark === null) return;
    const last = this.#count === 0 ? ORIGIN : (expected[this.#count - 1]?.position ?? ORIGIN);
    if (comparePositions(watermark, last) !== 0)
      throw new Violation('I1 the watermark is not the last entry', `${formatPosition(watermark)} and ${formatPosition(last)}`);
  }

  /** A standby was promoted; what the old primary had behind the fork is no history any more. */
  forked(lsn: Lsn, redis: RedisNode): void {
    this.#branches.push({ expected: this.expected(), forkLsn: lsn });
    this.#expected = [];
    this.#readTransactions = 0;
    this.#isBlocked = false;
    this.#firstUnpublishedLsn = null;
    this.#taint(redis, this.#branches.length - 1);
    this.excuse('TIMELINE_FORK', 'POSTGRES_BEHIND');
    this.#floorEver = maxLsn(this.#floorEver, this.#postgres.slotLsn);
  }

  /** A session of the history `branch` has written, or that history has ended. */
  #taint(redis: RedisNode, branch: number): void {
    for (const { forkLsn } of this.#branches.slice(branch)) {
      if (this.#isBeyond(forkLsn, redis) && (this.#taintLsn === null || forkLsn < this.#taintLsn)) this.#taintLsn = forkLsn;
    }
  }

  #isBeyond(forkLsn: Lsn, redis: RedisNode): boolean {
    const watermark = watermarkOf(redis, this.#laneKey) ?? ORIGIN;
    const floor = floorOf(redis, this.#laneKey) ?? ZERO_LSN;
    return watermark.commitLsn >= forkLsn || floor > forkLsn;
  }

  // ---- ends

  /** A relay ended by itself. */
  exited(process: RelayProcess, code: ErrorCode | 'OK'): void {
    if (code === 'OK') {
      if (!process.isStopRequested) throw new Violation('ended without being asked to', process.name);
      return;
    }
    if (code === 'DRAIN_TIMEOUT' && process.isStopRequested) return;
    if (code === 'FENCED' && this.#fenceHolder?.owner !== process) return;
    if (!this.#excuses.has(code)) throw new Violation(`stopped with ${code} for no reason`, process.name);
  }

  /** Why no relay may go on as things stand, or null. */
  reasonToHalt(redis: RedisNode): ErrorCode | null {
    const floor = floorOf(redis, this.#laneKey);
    if (floor === null) return 'LANE_MISSING';
    if (this.#taintLsn !== null || !this.#postgres.descendsFrom(Number(redis.state.hashes.get(this.#laneKey)?.get('timeline')))) return 'TIMELINE_FORK';
    if (floor < this.#postgres.slotLsn) return 'REDIS_BEHIND';
    if (redis.state.hashes.get(this.#laneKey)?.get('publication') !== this.#postgres.publicationIdentity) return 'PUBLICATION_CHANGED';
    if (this.#postgres.wal.transactions.some(({ events }) => events.some(({ isUnroutable }) => isUnroutable))) return 'EVENT_NO_ROUTE';
    return null;
  }

  get isComplete(): boolean {
    return this.#count === this.expected().length;
  }

  /** The end of the last transaction that has to be confirmed when everything is well. */
  get lastEndLsn(): Lsn {
    return this.#postgres.wal.transactions.findLast(({ events }) => events.length > 0)?.endLsn ?? ZERO_LSN;
  }

  progressText(): string {
    return `${this.#count} of ${this.expected().length} events stand, the slot is at ${formatLsn(this.#postgres.slotLsn)}, the last transaction ends at ${formatLsn(this.lastEndLsn)}`;
  }

  expected(): readonly SimulatedEvent[] {
    const { transactions } = this.#postgres.wal;
    if (this.#isBlocked) return this.#expected;
    for (; this.#readTransactions < transactions.length; this.#readTransactions += 1) {
      const transaction = transactions[this.#readTransactions];
      if (transaction === undefined) break;
      if (!transaction.isPublished) {
        if (transaction.events.length > 0) this.#firstUnpublishedLsn ??= transaction.commitLsn;
        continue;
      }
      for (const event of transaction.events) {
        if (event.isUnroutable) {
          this.#isBlocked = true;
          return this.#expected;
        }
        this.#expected.push(event);
      }
    }
    return this.#expected;
  }

  #knowledge(node: RedisNode): Knowledge {
    return { count: this.#count, floorLsn: floorOf(node, this.#laneKey) };
  }
}

function redisLinkOf(process: RelayProcess): Link | undefined {
  return [...process.links].findLast((link) => link.kind === 'redis');
}

interface Knowledge {
  readonly count: number;
  readonly floorLsn: Lsn | null;
}

interface StreamKnowledge {
  readonly startLsn: Lsn;
  lastLsn: Lsn;
  receivedLsn: Lsn;
  readonly landmarks: Set<Lsn>;
  readonly branch: number;
}

function floorOf(node: RedisNode, key: string): Lsn | null {
  const floor = node.state.hashes.get(key)?.get('floor');
  return floor === undefined ? null : readFloor(floor);
}

function watermarkOf(node: RedisNode, key: string): Position | null {
  const watermark = node.state.hashes.get(key)?.get('watermark');
  return watermark === undefined ? null : readWatermark(watermark);
}

/** Asked after every step, and seldom news. */
function rememberingLast<T>(read: (text: string) => T): (text: string) => T {
  let last: { readonly text: string; readonly value: T } | null = null;
  return (text) => {
    if (last?.text !== text) last = { text, value: read(text) };
    return last.value;
  };
}

const readFloor = rememberingLast(lsnFromHex);
const readWatermark = rememberingLast(positionFromHex);

/** Positions as texts of one width. */
function sortKey(entry: StreamEntry | undefined): string {
  const [high = '', low = ''] = (entry?.['lsn'] ?? '').split('/');
  const seq = Number(entry?.['seq']).toString(16).toUpperCase().padStart(12, '0');
  return high.padStart(8, '0') + low.padStart(8, '0') + seq;
}
