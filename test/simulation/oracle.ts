import type { ErrorCode } from '../../src/core/error-codes.ts';
import { formatLsn, type Lsn, lsnFromHex, maxLsn, readLsn, ZERO_LSN } from '../../src/core/lsn.ts';
import {
  comparePositions,
  formatPosition,
  ORIGIN,
  type Position,
  positionFromHex,
  positionToHex,
} from '../../src/core/position.ts';
import { History } from './history.ts';
import type { Link } from './link.ts';
import type { PostgresNode } from './postgres-node.ts';
import type { RedisNode, RedisObserver, ScriptName } from './redis-node.ts';
import type { RedisPlace } from './redis-place.ts';
import type { RelayProcess } from './relay-process.ts';
import type { RedisState, Reply, StreamEntry } from './script-model.ts';
import { Violation } from './violation.ts';
import type { Landmark } from './walsender.ts';

/**
 * Knows what was committed, looks at everything that reaches a server, and throws a Violation as soon as a promise of the design
 * (I1 to I8) is broken. It never looks into the relay.
 */
export class Oracle implements RedisObserver {
  readonly #postgres: PostgresNode;
  readonly #place: RedisPlace;
  readonly #isSafeOnly: boolean;
  readonly #replayWindowMs: number;
  /** When the floor came to where it is, newest last; what Redis has lost of it is forgotten here, too. */
  #floorNotes: { readonly lsn: Lsn; readonly atMs: number }[] = [];
  /** Sessions whose Postgres goes: the replay window ends for them. */
  readonly #released = new Set<string>();
  readonly #history: History;
  /** How many entries stand in each stream, and of each lane. */
  readonly #lengths = new Map<string, number>();
  readonly #counts = new Map<string, number>();
  /** The highest floor that was ever noted. */
  #floorEver: Lsn;
  /** The session that may write to a key: the one that raised the fence there last. */
  readonly #holders = new Map<string, string>();
  /** In which history a session began. */
  readonly #historyOf = new Map<string, number>();
  /** What stood in an earlier life of a Redis when it ended; a session may not know of the end yet. */
  readonly #endOfLife = new Map<string, RedisState>();
  readonly #streams = new Map<Link, StreamKnowledge>();
  /** Reasons to stop that the schedule has given. */
  readonly #excuses = new Set<ErrorCode>();
  /** Redis holds something of an ended history, from behind this fork. */
  #taintLsn: Lsn | null = null;
  appendedEvents = 0;

  constructor(options: {
    readonly postgres: PostgresNode;
    readonly place: RedisPlace;
    /** Only what is on the disk, or on the replicas, counts. */
    readonly isSafeOnly: boolean;
    readonly replayWindowMs: number;
  }) {
    this.#postgres = options.postgres;
    this.#place = options.place;
    this.#isSafeOnly = options.isSafeOnly;
    this.#replayWindowMs = options.replayWindowMs;
    this.#history = new History(options.postgres.wal, (stream) => options.place.laneKeyOf(stream));
    this.#floorEver = options.postgres.slotLsn;
  }

  excuse(...codes: ErrorCode[]): void {
    for (const code of codes) this.#excuses.add(code);
  }

  // ---- Redis

  ran(node: RedisNode, link: Link, script: ScriptName, key: string, reply: Reply): void {
    const { session, owner } = link;
    if (script === 'fence' || script === 'open lane') {
      if (Array.isArray(reply) && reply[0] === 'FENCE') return;
      this.#holders.set(key, session);
      if (!this.#historyOf.has(session)) this.#historyOf.set(session, this.#history.current);
      return;
    }
    if (this.#holders.get(key) !== session)
      throw new Violation(
        'I3 written by a session that no longer holds the fence',
        `${script} by ${session}`,
      );
    if (script === 'floor' && key === this.#place.controlKey) {
      const lsn = floorOf(node.state, key) ?? ZERO_LSN;
      this.#floorEver = maxLsn(this.#floorEver, lsn);
      if (lsn > (this.#floorNotes.at(-1)?.lsn ?? ZERO_LSN)) this.#floorNotes.push({ lsn, atMs: owner.nowMs });
    }
    if (script === 'append') this.#appended(node, key, this.#historyOf.get(session) ?? 0);
    this.#taint(this.#historyOf.get(session) ?? 0);
  }

  lifeEnds(node: RedisNode): void {
    const state = this.#isSafeOnly ? node.safeState : node.state;
    this.#endOfLife.set(`${node.name} ${node.life}`, state);
  }

  /** Redis is back, perhaps without its last writes. */
  lost(node: RedisNode): void {
    for (const lane of this.#history.lanes().keys()) {
      if (this.#place.nodeOf(lane) === node) this.#counts.set(lane, 0);
    }
    for (const key of this.#lengths.keys()) if (this.#place.nodeOf(key) === node) this.#lengths.delete(key);
    for (const [key, entries] of node.state.streams) {
      const lane = this.#place.laneKeyOf(key);
      this.#lengths.set(key, entries.length);
      this.#counts.set(lane, (this.#counts.get(lane) ?? 0) + entries.length);
    }
    if (this.#taintLsn !== null && !this.#isBeyond(this.#taintLsn)) this.#taintLsn = null;
    const floor = floorOf(this.#place.stateOf(this.#place.controlKey), this.#place.controlKey) ?? ZERO_LSN;
    this.#floorNotes = this.#floorNotes.filter(({ lsn }) => lsn <= floor);
    if (this.#control === undefined) this.excuse('LANE_MISSING');
  }

  #appended(node: RedisNode, lane: string, history: number): void {
    const fresh: StreamEntry[] = [];
    for (const [key, entries] of node.state.streams) {
      const before = this.#lengths.get(key) ?? 0;
      if (entries.length === before) continue;
      this.#lengths.set(key, entries.length);
      for (let at = before; at < entries.length; at += 1) {
        const entry = entries[at] as StreamEntry;
        if (key !== `outbox.${entry['aggregate_type']}`)
          throw new Violation('G3 an entry in a foreign stream', key);
        if (at > 0 && sortKey(entries[at - 1]) >= sortKey(entry))
          throw new Violation('I1 a stream that is not in commit order', `${entry['id']} in ${key}`);
        fresh.push(entry);
      }
    }
    if (fresh.length === 0) return;
    fresh.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
    if (this.#taintLsn !== null && history === this.#history.current)
      throw new Violation('G4 appended to what is another history', fresh[0]?.['id']);
    const expected = this.#history.events(lane, history);
    let count = this.#counts.get(lane) ?? 0;
    for (const entry of fresh) {
      const event = expected[count];
      if (event === undefined || entry['id'] !== event.id)
        throw new Violation(
          'I1 not the next event of the history',
          `${entry['id']} instead of ${event?.id ?? 'nothing'}`,
        );
      if (entry['payload'] !== event.payload || sortKey(entry) !== positionToHex(event.position))
        throw new Violation('G7 an entry that is not what was committed', event.id);
      count += 1;
      this.appendedEvents += 1;
    }
    this.#counts.set(lane, count);
  }

  // ---- Postgres

  streamStarts(link: Link): void {
    const { slotLsn } = this.#postgres;
    // A session that has lost its Redis in the meantime will not write.
    const isConnected = this.#place.nodes.every((node) => lifeSeen(link.owner, node) === node.life);
    const reason = isConnected ? this.#lossReason() : null;
    if (reason !== null) throw new Violation('G4 streams although Redis lacks what was confirmed', reason);
    this.#streams.set(link, {
      startLsn: slotLsn,
      lastLsn: slotLsn,
      receivedLsn: slotLsn,
      landmarks: new Set([slotLsn]),
      history: this.#history.current,
    });
  }

  streamReceived(link: Link, landmarks: readonly Landmark[]): void {
    const stream = this.#streams.get(link);
    for (const { lsn, kind } of landmarks) {
      if (kind === 'keepalive inside' || stream === undefined) continue;
      stream.landmarks.add(lsn);
      stream.receivedLsn = maxLsn(stream.receivedLsn, lsn);
    }
  }

  /** A standby status update leaves a relay. */
  statusSent(process: RelayProcess, link: Link, message: Buffer): void {
    const stream = this.#streams.get(link);
    if (stream === undefined) throw new Violation('a status update on a connection that does not stream');
    const lsn = readLsn(message, 9);
    const text = `${formatLsn(lsn)} by ${process.session}`;
    if (lsn < stream.lastLsn)
      throw new Violation('I5 confirmed backwards', `${text} after ${formatLsn(stream.lastLsn)}`);
    if (lsn > stream.receivedLsn || readLsn(message, 1) > stream.receivedLsn)
      throw new Violation('I5 confirmed more than was received', text);
    if (!stream.landmarks.has(lsn)) throw new Violation('I5 confirmed a position that nobody named', text);
    const isNews = lsn > stream.lastLsn;
    stream.lastLsn = lsn;
    if (!isNews) return;
    this.#checkKnown(process, lsn, stream.history, text);
    const note = this.#floorNotes.find((each) => each.lsn >= lsn);
    if (note === undefined || this.#released.has(process.session)) return;
    if (process.nowMs - note.atMs < this.#replayWindowMs)
      throw new Violation('G1 confirmed within the replay window', `${text}, noted at ${note.atMs} ms`);
  }

  /** Postgres tells a session that it goes. */
  released(session: string): void {
    this.#released.add(session);
  }

  #checkKnown(process: RelayProcess, lsn: Lsn, history: number, text: string): void {
    const states = new Map(this.#place.nodes.map((node) => [node, this.#known(process, node)]));
    const stateFor = (key: string) => states.get(this.#place.nodeOf(key)) as RedisState;
    const floor = floorOf(stateFor(this.#place.controlKey), this.#place.controlKey);
    if (floor === null || floor < lsn) {
      const noted = floor === null ? 'none' : formatLsn(floor);
      throw new Violation('I4 confirmed before the floor was noted', `${text}, floor ${noted}`);
    }
    for (const [lane, events] of this.#history.lanes(history)) {
      const last = events.findLast(({ position }) => position.commitLsn < lsn);
      if (last === undefined) continue;
      const watermark = watermarkOf(stateFor(lane), lane) ?? ORIGIN;
      if (comparePositions(watermark, last.position) < 0)
        throw new Violation('I4 confirmed what Redis does not hold', `${text}, without ${last.id}`);
    }
  }

  /** What a relay may believe that a Redis holds: all of it, or what it held when its connection's life ended. */
  #known(process: RelayProcess, node: RedisNode): RedisState {
    const life = lifeSeen(process, node) ?? node.life;
    if (life !== node.life) return this.#endOfLife.get(`${node.name} ${life}`) as RedisState;
    return this.#isSafeOnly ? node.safeState : node.state;
  }

  /** After every step. */
  check(): void {
    const { slotLsn } = this.#postgres;
    if (slotLsn > this.#floorEver)
      throw new Violation('I4 the slot is ahead of every floor', formatLsn(slotLsn));
    if (this.#lossReason() !== null) this.excuse('REDIS_BEHIND');
    const unpublished = this.#history.unpublishedLsn;
    if (unpublished !== null && slotLsn > unpublished)
      throw new Violation('G4 confirmed past a time without publication', formatLsn(slotLsn));
    if (this.#taintLsn !== null) return;
    for (const [lane, events] of this.#history.lanes()) {
      const watermark = watermarkOf(this.#place.stateOf(lane), lane);
      if (watermark === null) continue;
      const count = this.#counts.get(lane) ?? 0;
      const last = count === 0 ? ORIGIN : (events[count - 1]?.position ?? ORIGIN);
      if (comparePositions(watermark, last) !== 0)
        throw new Violation(
          'I1 the watermark is not the last entry',
          `${lane}: ${formatPosition(watermark)} and ${formatPosition(last)}`,
        );
    }
  }

  /** A standby is about to be promoted; what the old primary has behind the fork will be no history any more. */
  forks(lsn: Lsn): void {
    this.#history.endAt(lsn);
    this.#taint(this.#history.current - 1);
    this.excuse('TIMELINE_FORK', 'POSTGRES_BEHIND');
  }

  /** A session of that history has written, or that history has ended. */
  #taint(history: number): void {
    for (const forkLsn of this.#history.forksSince(history)) {
      if (this.#isBeyond(forkLsn) && (this.#taintLsn === null || forkLsn < this.#taintLsn))
        this.#taintLsn = forkLsn;
    }
  }

  #isBeyond(forkLsn: Lsn): boolean {
    return this.#place.nodes.some(({ state }) =>
      [...state.hashes.keys()].some(
        (key) =>
          (floorOf(state, key) ?? ZERO_LSN) > forkLsn ||
          (watermarkOf(state, key) ?? ORIGIN).commitLsn >= forkLsn,
      ),
    );
  }

  // ---- ends

  /** A relay ended by itself. */
  exited(process: RelayProcess, code: ErrorCode | 'OK'): void {
    if (code === 'OK') {
      if (!process.isStopRequested) throw new Violation('ended without being asked to', process.name);
      return;
    }
    if ((code === 'DRAIN_TIMEOUT' || code === 'DRAIN_FAILED') && process.isStopRequested) return;
    if (code === 'FENCED' && this.#holders.get(this.#place.controlKey) !== process.session) return;
    if (!this.#excuses.has(code)) throw new Violation(`stopped with ${code} for no reason`, process.name);
  }

  /** Why no relay may go on as things stand, or null. */
  reasonToHalt(): ErrorCode | null {
    const control = this.#control;
    if (control === undefined) return 'LANE_MISSING';
    const timelines = this.#place.nodes.flatMap(({ state }) =>
      // The hash of the streams' names has none.
      [...state.hashes.values()].flatMap((lane) => lane.get('timeline') ?? []).map(Number),
    );
    if (this.#taintLsn !== null || !timelines.every((timeline) => this.#postgres.descendsFrom(timeline)))
      return 'TIMELINE_FORK';
    if (this.#lossReason() !== null) return 'REDIS_BEHIND';
    if (control.get('publication') !== this.#postgres.publicationIdentity) return 'PUBLICATION_CHANGED';
    return this.#history.isBlocked ? 'EVENT_NO_ROUTE' : null;
  }

  /** What Redis lacks of what Postgres has forgotten, or of the proof that it lacks nothing. */
  #lossReason(): string | null {
    const { slotLsn } = this.#postgres;
    const { controlKey } = this.#place;
    const control = this.#control;
    if (control === undefined) return null;
    const floor = readFloor(control.get('floor') as string);
    if (floor < slotLsn) return `floor ${formatLsn(floor)}, slot ${formatLsn(slotLsn)}`;
    if (this.#taintLsn !== null) return null;
    for (const [lane, events] of this.#history.lanes()) {
      const missing = events[this.#counts.get(lane) ?? 0];
      if (missing !== undefined && missing.position.commitLsn < slotLsn) return `${missing.id} is missing`;
      if (lane === controlKey) continue;
      const tag = lane.slice(lane.indexOf('{') + 1, -1);
      const notes = (control.get(`lane:${tag}`) ?? '').split(',').filter((note) => note !== '');
      const proven = notes.map((note) => lsnFromHex(note)).findLast((lsn) => lsn <= slotLsn);
      const laneFloor = floorOf(this.#place.stateOf(lane), lane) ?? ZERO_LSN;
      if (proven !== undefined && laneFloor < proven) return `${lane} has lost its floor`;
    }
    return null;
  }

  get #control(): ReadonlyMap<string, string> | undefined {
    const { controlKey } = this.#place;
    return this.#place.stateOf(controlKey).hashes.get(controlKey);
  }

  get isComplete(): boolean {
    for (const [lane, events] of this.#history.lanes()) {
      if ((this.#counts.get(lane) ?? 0) !== events.length) return false;
    }
    return true;
  }

  /** The end of the last transaction that has to be confirmed when everything is well. */
  get lastEndLsn(): Lsn {
    const { transactions } = this.#postgres.wal;
    return transactions.findLast(({ events }) => events.length > 0)?.endLsn ?? ZERO_LSN;
  }

  describe(): string {
    const lanes = [...this.#history.lanes()].map(
      ([lane, events]) => `${this.#counts.get(lane) ?? 0} of ${events.length} events of ${lane} stand`,
    );
    const slot = `the slot is at ${formatLsn(this.#postgres.slotLsn)}`;
    return `${lanes.join(', ')}; ${slot}, the last transaction ends at ${formatLsn(this.lastEndLsn)}`;
  }
}

interface StreamKnowledge {
  readonly startLsn: Lsn;
  lastLsn: Lsn;
  receivedLsn: Lsn;
  readonly landmarks: Set<Lsn>;
  readonly history: number;
}

/** To which life of a Redis the newest connection of a relay leads. */
function lifeSeen(process: RelayProcess, node: RedisNode): number | undefined {
  let seen: number | undefined;
  for (const link of process.links) if (link.node === node) seen = link.serverLife;
  return seen;
}

function floorOf(state: RedisState, key: string): Lsn | null {
  const floor = state.hashes.get(key)?.get('floor');
  return floor === undefined ? null : readFloor(floor);
}

function watermarkOf(state: RedisState, key: string): Position | null {
  const watermark = state.hashes.get(key)?.get('watermark');
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
