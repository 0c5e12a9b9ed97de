import { setTimeout as sleep } from 'node:timers/promises';
import { clientConfig } from '../config/client-config.ts';
import { Alarm } from '../core/alarm.ts';
import { toWalrelayError, type WalrelayError } from '../core/walrelay-error.ts';
import type { Settings } from '../config/settings.ts';
import type { CleanUpMetrics } from '../ops/clean-up-metrics.ts';
import type { Logger } from '../ops/logger.ts';
import type { RelayMetrics } from '../ops/metrics.ts';
import type { LaneSet } from '../sink/lane-set.ts';
import type { LaneState } from '../sink/lane-state.ts';
import type { Catalog } from '../source/catalog.ts';
import { type CleanedTable, type CleaningPlace, readCleanedTable } from './cleaned-table.ts';
import { CleaningConnection } from './cleaning-connection.ts';
import { CleanUpNote } from './clean-up-note.ts';
import { createPartition, dropPartition, partitionSessionSql } from './daily-partitions.ts';
import { deleteBatchSql } from './delete-sql.ts';
import { daysCovered, planPartitions } from './partition-plan.ts';

/**
 * Deletes or drops what is confirmed and past the retention, for as long as a session streams. Which rows those are, only
 * Postgres is asked, in the statement that takes them away (row-conditions.ts).
 *
 * Whatever becomes of it, the relay goes on: rows that stay for longer harm nobody.
 */
export class CleanUp {
  readonly #options: CleanUpOptions;
  readonly #place: CleaningPlace;
  readonly #metrics: CleanUpMetrics;
  readonly #pause = new Alarm();
  #connection: CleaningConnection | null = null;
  #note: CleanUpNote | null;
  /** Days whose partition could not be made, and when to try again: performance.now(). */
  readonly #refusedDays = new Map<number, number>();
  #isStopped = false;
  #hasSaidHow = false;
  /** How long it took to read the whole table, where that is what a look does. */
  #readingMs = 0;
  /** The last trouble, so that one that stays is said once. */
  #lastTrouble = '';

  constructor(options: CleanUpOptions) {
    const { settings, catalog, walSenderPid, metrics, state } = options;
    this.#options = options;
    const { versionNumber } = catalog.server;
    this.#place = { settings, tableOid: catalog.tables[0]?.table?.oid ?? 0, walSenderPid, versionNumber };
    this.#metrics = metrics.cleanUp;
    this.#note = CleanUpNote.parse(state.cleanUp);
  }

  /** Beside the stream of a session that holds the slot. Null: it is switched off, or nothing can be deleted here. */
  static start(options: CleanUpOptions): CleanUp | null {
    if (options.settings.cleanup === 'none' || options.catalog.server.isInRecovery) return null;
    const cleanUp = new CleanUp(options);
    void cleanUp.run();
    return cleanUp;
  }

  /** Resolves after `stop`. Never rejects. */
  async run(): Promise<void> {
    const { settings } = this.#options;
    while (!this.#isStopped) {
      this.#readingMs = 0;
      try {
        await this.#look();
        this.#metrics.recordLook(Date.now());
        this.#lastTrouble = '';
      } catch (thrown) {
        this.#forgetConnection();
        if (this.#isStopped) break;
        this.#tell(toWalrelayError(thrown));
      }
      // A look that has to read much, since there is no index, comes seldom.
      await this.#pause.sleep(Math.max(settings.cleanupIntervalMs, this.#readingMs * PAUSE_SHARE));
    }
    this.#forgetConnection();
  }

  stop(): void {
    this.#isStopped = true;
    this.#forgetConnection();
    this.#pause.ring();
  }

  async #look(): Promise<void> {
    const { settings } = this.#options;
    const connection = await this.#connect();
    const table = await this.#readTable(connection);
    // Another session holds the slot, and cleans up.
    if (table.confirmedXid === null) return;
    const note = await this.#noteOf(table, table.confirmedXid);
    this.#sayHow(table, note);
    if (settings.cleanup === 'partitions') await this.#keepPartitions(connection, table, note);
    else await this.#deleteRipe(connection, table, note);
  }

  async #connect(): Promise<CleaningConnection> {
    if (this.#connection?.isOver === false) return this.#connection;
    const { settings, holder } = this.#options;
    const connection = await CleaningConnection.open(clientConfig(settings, cleanerName(holder)));
    if (this.#isStopped) {
      connection.destroy();
      return connection;
    }
    this.#connection = connection;
    if (settings.cleanup === 'partitions') {
      await connection.change("SET TimeZone = 'UTC'");
      await connection.change(partitionSessionSql(await this.#readTable(connection)));
    }
    return connection;
  }

  async #readTable(connection: CleaningConnection): Promise<CleanedTable> {
    const table = await readCleanedTable(connection, this.#place);
    const { clock } = this.#options;
    return clock === undefined ? table : { ...table, nowUs: clock(table.nowUs) };
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
      isChanged = note.look({ xid: confirmedXid, atMs }, settings.cleanupRetentionMs) || isChanged;
    }
    if (isChanged) await lanes.annotate({ clean_up: note.toString() });
    this.#note = note;
    return note;
  }

  async #deleteRipe(
    connection: CleaningConnection,
    table: CleanedTable,
    note: CleanUpNote,
    partition?: string,
  ): Promise<void> {
    const { settings, logger } = this.#options;
    const sql = deleteBatchSql(this.#place, table, note, partition);
    if (sql === null) return;
    let rows = 0;
    for (let deleted = settings.cleanupBatchRowsMax; deleted === settings.cleanupBatchRowsMax; ) {
      if (this.#isStopped) return;
      const startedMs = performance.now();
      deleted = await connection.change(sql);
      // The last one finds too few, and has read all there is to read.
      this.#readingMs = table.hasTimeIndex ? 0 : performance.now() - startedMs;
      this.#metrics.recordDeleted(deleted);
      rows += deleted;
      const leastMs = (deleted / settings.cleanupRowsPerSecondMax) * 1000;
      await sleep(Math.max(0, leastMs - (performance.now() - startedMs)));
    }
    if (rows > 0) logger.debug({ rows, table: partition ?? table.name }, 'confirmed rows were deleted');
  }

  async #keepPartitions(
    connection: CleaningConnection,
    table: CleanedTable,
    note: CleanUpNote,
  ): Promise<void> {
    const { settings, logger } = this.#options;
    const plan = planPartitions({
      nowUs: table.nowUs,
      retentionMs: settings.cleanupRetentionMs,
      daysAhead: settings.cleanupPartitionsAhead,
      partitions: table.partitions,
    });
    const troubles: unknown[] = [];
    const attempt = async (work: () => Promise<void>) => {
      if (this.#isStopped || connection.isOver) return;
      // One that can't be made or dropped now must not keep the others waiting.
      await work().catch((error: unknown) => troubles.push(error));
    };
    for (const dayUs of plan.missingDaysUs) {
      if (performance.now() < (this.#refusedDays.get(dayUs) ?? 0)) continue;
      await attempt(async () => {
        const name = await createPartition(connection, table, dayUs).catch((error: WalrelayError) => {
          // Each attempt looks through the default partition behind a lock.
          if (error.code !== 'PG_BUSY') this.#refusedDays.set(dayUs, performance.now() + REFUSED_DAY_MS);
          throw error;
        });
        this.#metrics.recordMade();
        logger.info({ partition: name }, 'a partition was made');
      });
    }
    for (const partition of plan.expired) {
      await attempt(async () => {
        const outcome = await dropPartition(connection, this.#place, table, note, partition);
        if (outcome === 'dropped') {
          this.#metrics.recordDropped();
          logger.info(
            { partition: partition.name },
            'a partition was dropped: every row in it was confirmed',
          );
        } else {
          logger.debug({ partition: partition.name, outcome }, 'a partition past the retention stays');
        }
      });
    }
    // Rows for which there was no partition when they came.
    for (const { name, isDefault } of table.partitions) {
      if (isDefault) await attempt(() => this.#deleteRipe(connection, table, note, name));
    }
    const { partitions } = plan.missingDaysUs.length === 0 ? table : await this.#readTable(connection);
    this.#metrics.setPartitionDays(daysCovered(table.nowUs, partitions));
    if (troubles.length > 0) throw troubles[0];
  }

  #sayHow(table: CleanedTable, note: CleanUpNote): void {
    if (this.#hasSaidHow) return;
    this.#hasSaidHow = true;
    const { settings, logger } = this.#options;
    logger.info(
      {
        table: table.name,
        cleanup: settings.cleanup,
        retentionMs: settings.cleanupRetentionMs,
        by: table.timeColumn ?? 'the slot',
        ...(settings.cleanupOlderRows === 'keep' ? { since: new Date(note.since.atMs).toISOString() } : {}),
      },
      'cleaning up confirmed rows',
    );
    if (settings.cleanup !== 'delete' || (table.timeColumn !== null && table.hasTimeIndex)) return;
    logger.warn(
      { table: table.name },
      table.timeColumn === null
        ? 'the clean-up reads the whole table at each look: it has no time column'
        : `the clean-up reads the whole table at each look: no index begins with ${table.timeColumn}`,
    );
  }

  #tell(error: WalrelayError): void {
    const { logger } = this.#options;
    this.#metrics.recordFailure();
    const { code, message, hint } = error;
    const trouble = `${code} ${message}`;
    if (trouble !== this.#lastTrouble) {
      const level = error.disposition === 'retry' ? 'warn' : 'error';
      logger[level](
        { code, reason: message, hint },
        'the clean-up failed; the relay goes on, and it is tried again',
      );
    }
    this.#lastTrouble = trouble;
  }

  #forgetConnection(): void {
    this.#connection?.destroy();
    this.#connection = null;
  }
}

/** Another name than the session's connections have, for people who look at pg_stat_activity. */
function cleanerName(holder: string): string {
  return `${holder.slice(0, APPLICATION_NAME_BYTES_MAX - CLEANER.length)}${CLEANER}`;
}

const CLEANER = ' (clean-up)';
const APPLICATION_NAME_BYTES_MAX = 63;
/** Of its time, the clean-up reads the table a twentieth. */
const PAUSE_SHARE = 19;
const REFUSED_DAY_MS = 3_600_000;

export interface CleanUpOptions {
  readonly settings: Settings;
  readonly logger: Logger;
  readonly metrics: Pick<RelayMetrics, 'cleanUp'>;
  /** Who this is, for pg_stat_activity. */
  readonly holder: string;
  /** Keeps the note, and refuses when this session may no longer write there. */
  readonly lanes: Pick<LaneSet, 'annotate'>;
  readonly state: LaneState;
  readonly catalog: Catalog;
  readonly walSenderPid: number;
  /** What to take for the time, given that of Postgres (microseconds); for tests of what takes days. */
  readonly clock?: (nowUs: number) => number;
}
