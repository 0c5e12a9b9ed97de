import { hasTable } from '../config/outbox-source.ts';
import { clientConfig } from '../config/client-config.ts';
import { Alarm } from '../core/alarm.ts';
import { toWalrelayError } from '../core/walrelay-error.ts';
import type { Settings } from '../config/settings.ts';
import type { CleanUpMetrics } from '../ops/clean-up-metrics.ts';
import type { Logger } from '../ops/logger.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import type { LaneSet } from '../sink/lane-set.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { Catalog } from '../source/catalog.ts';
import type { CleanedTable } from './cleaned-table.ts';
import { CleaningConnection } from './cleaning-connection.ts';
import { CleanUpNote } from './clean-up-note.ts';
import { TableCleaning } from './table-cleaning.ts';

/**
 * Deletes or drops what is confirmed and past the retention, for as long as a session streams: one table after the other, on
 * one connection, so that it takes no more of Postgres the more outboxes there are. A table that can't be cleaned up keeps
 * none of the others waiting.
 *
 * Whatever becomes of it, the relay goes on: rows that stay for longer harm nobody.
 */
export class CleanUp {
  readonly #options: CleanUpOptions;
  readonly #tables: readonly Visited[];
  readonly #metrics: CleanUpMetrics;
  readonly #pause = new Alarm();
  #connection: CleaningConnection | null = null;
  /** One for all tables: it is of an epoch, and an epoch is of these tables. */
  #note: CleanUpNote | null;
  #isStopped = false;

  constructor(options: CleanUpOptions) {
    const { settings, catalog, walSenderPid, metrics, state, logger, clock } = options;
    this.#options = options;
    this.#metrics = metrics.cleanUp;
    this.#note = CleanUpNote.parse(state.cleanUp);
    this.#tables = settings.outboxes.filter(hasTable).flatMap((outbox, place): Visited[] => {
      if (outbox.cleanup === 'none') return [];
      const tableOid = catalog.tables[place]?.table?.oid ?? 0;
      const { versionNumber } = catalog.server;
      const cleaning = new TableCleaning({
        place: { settings, outbox, tableOid, walSenderPid, versionNumber },
        logger,
        metrics: this.#metrics,
        isStopped: () => this.#isStopped,
        clock,
      });
      return [{ cleaning, dueAtMs: 0, lookedAtMs: null }];
    });
  }

  /** Beside the stream of a session that holds the slot. Null: it is switched off, or nothing can be deleted here. */
  static start(options: CleanUpOptions): CleanUp | null {
    const { settings, catalog } = options;
    if (settings.outboxes.every(({ cleanup }) => cleanup === 'none') || catalog.server.isInRecovery)
      return null;
    const cleanUp = new CleanUp(options);
    void cleanUp.run();
    return cleanUp;
  }

  /** Resolves after `stop`. Never rejects. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      for (const visited of this.#tables) {
        if (this.#isStopped) break;
        if (performance.now() >= visited.dueAtMs) await this.#visit(visited);
      }
      const nextAtMs = Math.min(...this.#tables.map(({ dueAtMs }) => dueAtMs));
      await this.#pause.sleep(Math.max(0, nextAtMs - performance.now()));
    }
    this.#forgetConnection();
  }

  stop(): void {
    this.#isStopped = true;
    this.#forgetConnection();
    this.#pause.ring();
  }

  async #visit(visited: Visited): Promise<void> {
    const { cleaning } = visited;
    try {
      const connection = await this.#connect();
      await cleaning.look(connection, (table, confirmedXid) => this.#noteOf(table, confirmedXid));
      visited.lookedAtMs = Date.now();
      this.#recordLooks();
    } catch (thrown) {
      this.#forgetConnection();
      if (this.#isStopped) return;
      this.#metrics.recordFailure();
      cleaning.tell(toWalrelayError(thrown));
    }
    this.#recordDays();
    visited.dueAtMs = performance.now() + cleaning.pauseMs;
  }

  async #connect(): Promise<CleaningConnection> {
    if (this.#connection?.isOver === false) return this.#connection;
    const { settings, holder } = this.#options;
    const connection = await CleaningConnection.open(clientConfig(settings, cleanerName(holder)));
    if (this.#isStopped) connection.destroy();
    else this.#connection = connection;
    return connection;
  }

  /** Kept in the lane state before anything is deleted by it. */
  async #noteOf(table: CleanedTable, confirmedXid: bigint): Promise<CleanUpNote> {
    const { settings, logger, lanes } = this.#options;
    const atMs = Math.ceil(table.nowUs / 1000);
    let note = this.#note;
    let isChanged = false;
    if (note === null) {
      note = CleanUpNote.begin({ xid: table.nextXid, atMs });
      isChanged = true;
      if (settings.cleanupOlderRows === 'keep') {
        logger.info(
          { since: new Date(atMs).toISOString(), table: table.name },
          'the clean-up begins: rows that are in the table already stay there (WALRELAY_CLEANUP_OLDER_ROWS)',
        );
      }
    }
    if (table.timeColumn === null) {
      isChanged = note.look({ xid: confirmedXid, atMs }, this.#longestRetentionMs) || isChanged;
    }
    if (isChanged) await lanes.annotate({ clean_up: note.toString() });
    this.#note = note;
    return note;
  }

  /** Of the tables whose rows tell no time. */
  get #longestRetentionMs(): number {
    const timeless = this.#options.settings.outboxes.filter(
      ({ cleanup, columnTime }) => cleanup !== 'none' && columnTime === null,
    );
    return Math.max(0, ...timeless.map(({ cleanupRetentionMs }) => cleanupRetentionMs));
  }

  /** Of all tables together: that of which it is the longest ago. */
  #recordLooks(): void {
    const looks = this.#tables.map(({ lookedAtMs }) => lookedAtMs);
    if (looks.every((atMs) => atMs !== null)) this.#metrics.recordLook(Math.min(...looks));
  }

  /** The fewest of any table. */
  #recordDays(): void {
    const days = this.#tables.flatMap(({ cleaning }) => cleaning.partitionDays ?? []);
    if (days.length > 0) this.#metrics.setPartitionDays(Math.min(...days));
  }

  #forgetConnection(): void {
    this.#connection?.destroy();
    this.#connection = null;
  }
}

interface Visited {
  readonly cleaning: TableCleaning;
  /** performance.now(). */
  dueAtMs: number;
  /** When a look at it last ended well. */
  lookedAtMs: number | null;
}

/** Another name than the session's connections have, for people who look at pg_stat_activity. */
function cleanerName(holder: string): string {
  return `${holder.slice(0, APPLICATION_NAME_BYTES_MAX - CLEANER.length)}${CLEANER}`;
}

const CLEANER = ' (clean-up)';
const APPLICATION_NAME_BYTES_MAX = 63;

export interface CleanUpOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly metrics: Pick<RelayMetrics, 'cleanUp'>;
  /** Who this is, for pg_stat_activity. */
  readonly holder: string;
  /** Keeps the note, and refuses when this session may no longer write there. */
  readonly lanes: Pick<LaneSet, 'annotate'>;
  readonly state: LaneState;
  /** As the session read it: its tables are those of the outboxes, in their order. */
  readonly catalog: Catalog;
  readonly walSenderPid: number;
  /** What to take for the time, given that of Postgres (microseconds); for tests of what takes days. */
  readonly clock?: (nowUs: number) => number;
}
