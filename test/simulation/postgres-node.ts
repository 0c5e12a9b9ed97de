import { formatLsn, type Lsn, readLsn, toLsn } from '../../src/core/lsn.ts';
import type { Link } from './link.ts';
import { NAMES } from '../unit/decode/pgoutput-messages.ts';
import { errorFrame, TABLE_OID, Wal } from './wal.ts';
import { type Landmark, Walsender } from './walsender.ts';

/**
 * A Postgres server with one outbox, one publication and one slot. The slot's position is not written to disk when it moves: a crash takes
 * it back as far as the schedule likes.
 */
export class PostgresNode {
  readonly wal: Wal;
  readonly systemId = '7000000000000000001';
  timeline = 1;
  /** Where each timeline was left. */
  forks: { readonly timeline: number; readonly lsn: Lsn }[] = [];
  #timelines = 1;
  phase: 'up' | 'stopping' | 'down' = 'up';
  publicationVersion = 1;
  isPublishing = true;
  slotLsn: Lsn;
  /** Every position that the slot has had, oldest first. */
  readonly slotPast: Lsn[];
  readonly walsenders = new Map<Link, Walsender>();
  readonly #links = new Set<Link>();
  #slotHolder: Link | null = null;
  #lockHolder: Link | null = null;
  #catalogKey = '';
  #catalogText = '';

  readonly #goes: (session: string) => void;

  /** `goes` hears of sessions that are told that the server goes. */
  constructor(startLsn: Lsn, goes: (session: string) => void) {
    this.#goes = goes;
    this.wal = new Wal(startLsn);
    this.slotLsn = startLsn;
    this.slotPast = [startLsn];
  }

  get slotHolder(): Link | null {
    return this.#slotHolder;
  }

  get publicationIdentity(): string {
    return `publication 16400:${700 + this.publicationVersion} table ${TABLE_OID} member 16401:700 schema`;
  }

  /** Why a connection is turned away, as SQLSTATE. */
  get greeting(): string | null {
    if (this.phase === 'up') return null;
    return this.phase === 'stopping' ? '57P03' : 'down';
  }

  accept(link: Link): void {
    this.#links.add(link);
    link.serverClosed = () => {
      this.#links.delete(link);
      this.walsenders.delete(link);
      if (this.#slotHolder === link) this.#slotHolder = null;
      if (this.#lockHolder === link) this.#lockHolder = null;
    };
  }

  /** Answers one statement; throws a SqlError. */
  query(link: Link, sql: string): Record<string, unknown>[] {
    if (this.phase !== 'up') throw new SqlError('57P01', 'terminating connection');
    if (sql.includes('json_build_object')) return [{ catalog: this.#catalog() }];
    // The look at how much WAL the slot keeps.
    if (sql.includes('AS wal_end'))
      return [{ wal_end: String(this.wal.endLsn), wal_status: 'reserved', safe: null, retained: '64' }];
    if (sql.includes("current_setting('server_version_num')")) return [{ number: '170010' }];
    if (sql.includes('pg_try_advisory_lock')) {
      this.#lockHolder ??= link;
      return [{ locked: this.#lockHolder === link ? 'true' : 'false' }];
    }
    if (sql === 'IDENTIFY_SYSTEM') return [{ systemid: this.systemId, timeline: String(this.timeline) }];
    if (sql.startsWith('TIMELINE_HISTORY')) {
      const lines = this.forks.map((fork) => `${fork.timeline}\t${formatLsn(fork.lsn)}\tno recovery target`);
      return [{ content: lines.join('\n') }];
    }
    if (sql.startsWith('SELECT CASE WHEN pg_is_in_recovery')) return [{ lsn: formatLsn(this.wal.endLsn) }];
    if (sql.includes('pg_terminate_backend')) {
      for (const holder of new Set([this.#slotHolder, this.#lockHolder])) {
        if (holder !== null && holder !== link) this.terminate(holder, '57P01');
      }
      return [];
    }
    if (sql.startsWith('SET bytea_output')) return [];
    throw new Error(`the simulated Postgres does not know ${sql}`);
  }

  /** START_REPLICATION. Throws a SqlError. */
  startReplication(
    link: Link,
    sql: string,
    listener: {
      readonly received: (landmarks: readonly Landmark[], events: number) => void;
      readonly emit: (bytes: Buffer) => void;
    },
  ): void {
    if (this.phase !== 'up') throw new SqlError('57P01', 'terminating connection');
    if (!sql.includes(' LOGICAL 0/0 ')) throw new Error(`I7: a stream that does not start at 0/0: ${sql}`);
    if (this.#slotHolder !== null) throw new SqlError('55006', 'replication slot is active');
    this.#slotHolder = link;
    const restartLsn = toLsn(this.slotLsn - 64n);
    this.walsenders.set(
      link,
      new Walsender({ link, wal: this.wal, startLsn: this.slotLsn, restartLsn, ...listener }),
    );
  }

  /** A standby status update arrives. Nothing is validated, as in the real server. */
  statusUpdate(link: Link, message: Buffer): void {
    const walsender = this.walsenders.get(link);
    if (walsender === undefined) return;
    const flushLsn = readLsn(message, 9);
    if (flushLsn > this.slotLsn) {
      this.slotLsn = flushLsn;
      this.slotPast.push(flushLsn);
    }
    if (message[33] === 1) walsender.keepalive(walsender.sentLsn, false);
  }

  /** kill -9: the slot is where the schedule says it was last written to disk. */
  crash(slotLsn: Lsn): void {
    this.phase = 'down';
    this.#moveSlotBack(slotLsn);
    for (const link of this.#links) link.breakOff();
  }

  /** pg_ctl stop -m fast: sessions are ended, the walsender waits until everything is confirmed. */
  stopFast(): void {
    this.phase = 'stopping';
    for (const link of this.#links) {
      if (this.walsenders.has(link)) continue;
      this.terminate(link, '57P01');
    }
    this.checkStopped();
  }

  /** While stopping: asks for the last byte to be confirmed; goes once it is. */
  checkStopped(): string {
    for (const [link, walsender] of this.walsenders) {
      if (!walsender.isCaughtUp || walsender.isInTransaction) return 'streams to the end';
      if (this.slotLsn >= this.wal.endLsn) this.terminate(link, '57P01');
      else {
        this.#goes(link.session);
        walsender.keepalive(this.wal.endLsn, true);
        return 'asks for a confirmation';
      }
    }
    this.phase = 'down';
    for (const link of this.#links) link.breakOff();
    return 'is down';
  }

  /** A standby takes over that had replayed up to `lsn`; its copy of the slot stands at `slotLsn`. */
  promote(lsn: Lsn, slotLsn: Lsn): void {
    this.crash(slotLsn);
    // A standby that had not come to the last fork follows the timeline before it, and knows nothing of the other one.
    const missed = this.forks.find((fork) => fork.lsn > lsn);
    this.forks = this.forks.filter((fork) => fork.lsn <= lsn);
    this.forks.push({ timeline: missed?.timeline ?? this.timeline, lsn });
    this.#timelines += 1;
    this.timeline = this.#timelines;
    this.wal.truncate(lsn);
  }

  descendsFrom(timeline: number): boolean {
    return timeline === this.timeline || this.forks.some((fork) => fork.timeline === timeline);
  }

  terminate(link: Link, sqlState: string): void {
    this.#goes(link.session);
    const walsender = this.walsenders.get(link);
    if (walsender === undefined) link.sayFatal(sqlState);
    else walsender.say(errorFrame(sqlState, 'terminating connection'));
    link.closeByServer();
  }

  #moveSlotBack(slotLsn: Lsn): void {
    this.slotLsn = slotLsn;
    while (this.slotPast.length > 1 && (this.slotPast.at(-1) as Lsn) > slotLsn) this.slotPast.pop();
  }

  #catalog(): string {
    const isActive = this.#slotHolder !== null;
    const key = `${this.slotLsn} ${this.wal.endLsn} ${isActive} ${this.publicationVersion} ${this.isPublishing}`;
    if (key !== this.#catalogKey) {
      this.#catalogKey = key;
      this.#catalogText = this.#renderCatalog(isActive);
    }
    return this.#catalogText;
  }

  #renderCatalog(isActive: boolean): string {
    return JSON.stringify({
      server: { ...SERVER, walEnd: formatLsn(this.wal.endLsn) },
      table: {
        oid: TABLE_OID,
        schema: 'public',
        name: 'outbox',
        kind: 'r',
        persistence: 'p',
        columns: NAMES,
        unloggedPartitions: [],
        partitions: [],
      },
      namedTableOid: TABLE_OID,
      publication: {
        publishesInserts: true,
        isViaRoot: false,
        isForAllTables: false,
        coversTable: this.isPublishing,
        sentAs: null,
        alterations: [],
        otherTables: [],
        memberOids: [],
        rowFilter: null,
        publishedColumns: null,
        identity: this.publicationIdentity,
        comment: null,
      },
      slot: {
        plugin: 'pgoutput',
        slotType: 'logical',
        database: SERVER.database,
        isTemporary: false,
        isActive,
        holder: isActive ? 'pid 1' : null,
        restartLsn: formatLsn(toLsn(this.slotLsn - 64n)),
        confirmedLsn: formatLsn(this.slotLsn),
        walStatus: 'reserved',
        invalidationReason: null,
        isFailover: false,
        isSynced: false,
        safeWalBytes: null,
        retainedBytes: '64',
        isTwoPhase: false,
      },
    });
  }
}

/** An error that the server answers a statement with. */
export class SqlError extends Error {
  readonly severity = 'ERROR';
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const DATABASE = 'shop';

const SERVER = {
  versionNumber: 170_010,
  version: '17.10',
  database: DATABASE,
  user: 'walrelay',
  canReplicate: true,
  walLevel: 'logical',
  clientEncoding: 'UTF8',
  serverEncoding: 'UTF8',
  isInRecovery: false,
  walSenderTimeoutMs: 60_000,
  synchronousStandbyNames: '',
  idleSlotTimeoutS: 0,
  physicalSlots: [],
  synchronizedStandbySlots: null,
  canAllEmit: null,
};
