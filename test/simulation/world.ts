import type { Settings } from '../../src/config/settings.ts';
import { type Lsn, toLsn } from '../../src/core/lsn.ts';
import { ORIGIN } from '../../src/core/position.ts';
import type { Random } from '../support/chaos-random.ts';
import { laneToFields } from '../../src/sink/lane-state.ts';
import { Link } from './link.ts';
import { Oracle } from './oracle.ts';
import { DATABASE, PostgresNode } from './postgres-node.ts';
import type { RedisNode } from './redis-node.ts';
import { RedisPlace } from './redis-place.ts';
import { RelayProcess, runInProcess } from './relay-process.ts';
import type { Refusal, Reply } from './script-model.ts';
import type { VirtualTimer } from './virtual-time.ts';
import type { Walsender } from './walsender.ts';

/** Two servers, the relays, what is under way between them, and the time. */
export class World {
  nowMs = 1000;
  /** How far the hosts' time of day is off. */
  wallOffsetMs = Date.UTC(2026, 10, 21);
  readonly settings: Settings;
  readonly isTracing: boolean;
  readonly postgres: PostgresNode;
  readonly place: RedisPlace;
  readonly oracle: Oracle;
  readonly processes: RelayProcess[] = [];
  readonly trace: string[] = [];
  links: Link[] = [];
  /** Steps taken since nothing fails any more. */
  settledSteps = 0;
  readonly #arrivals: Arrivals;
  readonly #late = new Set<Link>();
  #linkCount = 0;
  readonly #seenExits = new Set<RelayProcess>();
  #broken: Error | null = null;
  #checkedSlotLsn: Lsn | null = null;
  #checkedWrites = -1;

  constructor(settings: Settings, isTracing: boolean, arrivals: Arrivals) {
    this.settings = settings;
    this.#arrivals = arrivals;
    this.isTracing = isTracing;
    this.postgres = new PostgresNode(START_LSN, (session) => this.oracle.released(session));
    const lane = laneToFields({
      epoch: 1,
      fence: 0,
      watermark: ORIGIN,
      floorLsn: START_LSN,
      systemId: this.postgres.systemId,
      timeline: 1,
      slot: settings.slot,
      database: DATABASE,
      publicationIdentity: this.postgres.publicationIdentity,
    });
    this.place = new RedisPlace({
      nodeCount: settings.redisMode === 'cluster' ? CLUSTER_NODES : 1,
      controlKey: settings.metaKey,
      control: new Map(Object.entries(lane)),
      observer: {
        ran: (...call) => this.oracle.ran(...call),
        lifeEnds: (node) => this.oracle.lifeEnds(node),
      },
    });
    this.oracle = new Oracle({
      postgres: this.postgres,
      place: this.place,
      isSafeOnly: settings.durability.level !== 'reply',
      replayWindowMs: settings.replayWindowMs,
    });
  }

  get nodes(): readonly RedisNode[] {
    return this.place.nodes;
  }

  get wallMs(): number {
    return this.nowMs + this.wallOffsetMs;
  }

  note(line: string): void {
    if (this.isTracing) this.trace.push(`${String(this.nowMs).padStart(7)} ms  ${line}`);
  }

  /** Whether a relay streams, and is not stopped. */
  get isStreaming(): boolean {
    if (this.postgres.walsenders.size === 0) return false;
    return this.processes.some(({ state, phase }) => state === 'running' && phase === 'streaming');
  }

  get living(): RelayProcess[] {
    return this.processes.filter(({ state }) => state !== 'gone');
  }

  startProcess(isStealing = false): Promise<void> {
    const name = `relay ${this.processes.length + 1}`;
    const process = new RelayProcess(this, name, isStealing);
    this.processes.push(process);
    this.note(`${name} starts${isStealing ? ' with --steal' : ''}`);
    return this.run(process, () => process.start());
  }

  /** Everything that a relay does, it does in here; the invariants are looked at afterwards. */
  run(process: RelayProcess, act: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      runInProcess(process, act, () => {
        try {
          this.#ran(process);
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #ran(process: RelayProcess): void {
    if (this.#broken !== null) throw this.#broken;
    if (process.exit !== null && !this.#seenExits.has(process)) {
      this.#seenExits.add(process);
      this.note(`${process.name} has ended: ${process.exit}`);
      this.oracle.exited(process, process.exit);
    }
    this.check();
  }

  check(): void {
    const { slotLsn, wal } = this.postgres;
    let writes = wal.transactions.length;
    for (const node of this.nodes) writes += node.writes + node.life * 1_000_000;
    // Most steps carry a message about, and change no server.
    if (slotLsn === this.#checkedSlotLsn && writes === this.#checkedWrites) return;
    this.#checkedSlotLsn = slotLsn;
    this.#checkedWrites = writes;
    this.oracle.check();
  }

  // ---- what the simulated clients ask for

  connectRedis(owner: RelayProcess, url: string): Link {
    const node = this.place.nodeAt(url);
    const link = this.#link('redis', owner, node);
    if (!node.isUp) link.cut(0);
    return link;
  }

  runRedis(
    link: Link,
    name: string,
    args: readonly (string | Buffer)[],
    answer: (reply: Reply | Refusal) => void,
  ): void {
    link.node?.execute(link, this.nowMs, name, args, answer);
  }

  connectPostgres(owner: RelayProcess, kind: 'postgres' | 'watch'): Link {
    const link = this.#link(kind, owner, null);
    const greeting = this.postgres.greeting;
    if (greeting === null) this.postgres.accept(link);
    else if (greeting === 'down') link.cut(0);
    else {
      link.sayFatal(greeting);
      link.closeByServer();
    }
    return link;
  }

  startReplication(link: Link, sql: string, emit: (bytes: Buffer) => void): void {
    this.postgres.startReplication(link, sql, {
      received: (landmarks) => this.oracle.streamReceived(link, landmarks),
      emit,
    });
    this.oracle.streamStarts(link);
  }

  statusSent(process: RelayProcess, link: Link, chunk: Buffer): void {
    // What is thrown here would meet the relay's own handling of errors, and be taken for one of its own.
    try {
      this.oracle.statusSent(process, link, chunk);
    } catch (error) {
      this.#broken ??= error as Error;
    }
  }

  #link(kind: Link['kind'], owner: RelayProcess, node: RedisNode | null): Link {
    this.#linkCount += 1;
    const link = new Link(this.#linkCount, kind, owner, node);
    owner.links.add(link);
    this.links = this.links.filter(({ isOver }) => !isOver);
    this.links.push(link);
    return link;
  }

  // ---- what can happen next

  /** Links with something that may arrive now, at the server or at the client. */
  get deliverable(): Delivery[] {
    const found: Delivery[] = [];
    for (const link of this.links) {
      if (this.#canReachServer(link)) found.push({ link, isToServer: true });
      if (this.#canReachClient(link)) found.push({ link, isToServer: false });
    }
    return found;
  }

  /** What arrives next when the schedule has no wish of its own. */
  get nextDelivery(): Delivery | undefined {
    if (this.#arrivals !== 'oldest connection first') {
      const found = this.deliverable;
      if (this.#arrivals === 'newest connection first' || found.length < 2) return found.at(-1);
      return found[this.#arrivals.int(0, found.length - 1)];
    }
    for (const link of this.links) {
      if (this.#canReachServer(link)) return { link, isToServer: true };
      if (this.#canReachClient(link)) return { link, isToServer: false };
    }
    return undefined;
  }

  #canReachServer(link: Link): boolean {
    return (
      link.toServer.length > 0 &&
      link.isServerOpen &&
      !link.isBlackHole &&
      !link.isHeld &&
      link.lateness === 0 &&
      link.node?.isBlocked(link) !== true
    );
  }

  #canReachClient(link: Link): boolean {
    return (
      link.toClient.length > 0 &&
      link.isClientOpen &&
      !link.isBlackHole &&
      !link.isPaused &&
      link.owner.state === 'running'
    );
  }

  /** What reaches a relay is done with when the promise is; what reaches a server, at once. */
  deliver(link: Link, isToServer: boolean): Promise<void> | undefined {
    const message = (isToServer ? link.toServer : link.toClient).shift();
    if (message === undefined) return undefined;
    if (this.isTracing) this.note(`${link.name} ${isToServer ? '→ server' : '← server'}: ${message.what}`);
    if (isToServer) {
      if (this.#late.size > 0) this.#comeCloser(({ node }) => node === link.node);
      message.deliver();
      this.check();
      return undefined;
    }
    return this.run(link.owner, message.deliver);
  }

  /** What was sent on it arrives only when its server has been told so many things by others, or time passes. */
  delay(link: Link, lateness: number): void {
    link.lateness = lateness;
    this.#late.add(link);
  }

  #comeCloser(isMeant: (link: Link) => boolean): void {
    for (const link of this.#late) {
      if (!isMeant(link)) continue;
      link.lateness -= 1;
      if (link.lateness === 0) this.#late.delete(link);
    }
  }

  /** Streams with something to send, and a peer that takes it. */
  get sendable(): Walsender[] {
    return [...this.postgres.walsenders.values()].filter(
      (walsender) =>
        !walsender.isCaughtUp &&
        walsender.link.isServerOpen &&
        !walsender.link.isBlackHole &&
        walsender.link.toClient.length < SOCKET_CHUNKS_MAX,
    );
  }

  nextTimer(): VirtualTimer | null {
    let next: VirtualTimer | null = null;
    for (const process of this.processes) {
      if (process.state !== 'running') continue;
      for (const timer of process.timers) {
        if (next === null || timer.dueMs < next.dueMs) next = timer;
      }
    }
    return next;
  }

  /** Time passes until `untilMs`; what is due by then happens, in its order. */
  async passTime(untilMs: number): Promise<void> {
    this.#comeCloser(() => true);
    for (;;) {
      const timer = this.nextTimer();
      if (timer === null || timer.dueMs > untilMs) break;
      await this.fire(timer);
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
    for (const node of this.nodes) node.expireWaits(this.nowMs);
  }

  fire(timer: VirtualTimer): Promise<void> {
    this.nowMs = Math.max(this.nowMs, timer.dueMs);
    for (const node of this.nodes) node.expireWaits(this.nowMs);
    if (timer.intervalMs === null) timer.clear();
    // An interval that was late does not catch up.
    else timer.dueMs = this.nowMs + timer.intervalMs;
    return this.run(timer.owner as RelayProcess, timer.run);
  }

  describe(): string {
    return this.oracle.describe();
  }
}

/** The order between connections, where the schedule leaves it open; nothing is ever known of it. */
export type Arrivals = 'oldest connection first' | 'newest connection first' | Random;

export interface Delivery {
  readonly link: Link;
  readonly isToServer: boolean;
}

const CLUSTER_NODES = 2;
const START_LSN = toLsn(0x1_0000n);
/** What a paused reader leaves in the sockets. */
const SOCKET_CHUNKS_MAX = 3;
