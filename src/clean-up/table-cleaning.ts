import { setTimeout as sleep } from 'node:timers/promises';
import type { OutboxSettings } from '../config/settings.ts';
import type { WalrelayError } from '../core/walrelay-error.ts';
import type { CleanUpMetrics } from '../ops/clean-up-metrics.ts';
import type { Logger } from '../ops/logger.ts';
import { type CleanedTable, type CleaningPlace, readCleanedTable } from './cleaned-table.ts';
import type { CleaningConnection } from './cleaning-connection.ts';
import type { CleanUpNote } from './clean-up-note.ts';
import { createPartition, dropPartition, partitionSessionSql } from './daily-partitions.ts';
import { deleteBatchSql } from './delete-sql.ts';
import { daysCovered, planPartitions } from './partition-plan.ts';

/**
 * The clean-up of one outbox table, look after look. Which of its rows may go, only Postgres is asked, in the statement that
 * takes them away (row-conditions.ts). Must not know: the other tables, the connection's life, when to look.
 */
export class TableCleaning {
  readonly #options: TableCleaningOptions;
  readonly #place: CleaningPlace;
  /** Days whose partition could not be made, and when to try again: performance.now(). */
  readonly #refusedDays = new Map<number, number>();
  #hasSaidHow = false;
  /** How long it took to read the whole table, where that is what a look does. */
  #readingMs = 0;
  #partitionDays: number | null = null;
  /** The last trouble, so that one that stays is said once. */
  #lastTrouble = '';

  constructor(options: TableCleaningOptions) {
    this.#options = options;
    this.#place = options.place;
  }

  /** Days from today on for which there is a partition; null where there are none, or nobody has looked. */
  get partitionDays(): number | null {
    return this.#partitionDays;
  }

  /** Until the next look. One that has to read much, since there is no index, comes seldom. */
  get pauseMs(): number {
    return Math.max(this.#place.settings.cleanupIntervalMs, this.#readingMs * PAUSE_SHARE);
  }

  /** Throws what keeps it from being done, or from being done wholly. `noteOf` tells what is remembered about the rows. */
  async look(
    connection: CleaningConnection,
    noteOf: (table: CleanedTable, confirmedXid: bigint) => Promise<CleanUpNote>,
  ): Promise<void> {
    this.#readingMs = 0;
    const table = await this.#enter(connection);
    // Another session holds the slot, and cleans up.
    if (table.confirmedXid === null) return;
    const note = await noteOf(table, table.confirmedXid);
    this.#sayHow(table, note);
    if (this.#outbox.cleanup === 'partitions') await this.#keepPartitions(connection, table, note);
    else await this.#deleteRipe(connection, table, note);
    this.#lastTrouble = '';
  }

  /** Tells of a look that failed. */
  tell(error: WalrelayError): void {
    const { logger } = this.#options;
    const { code, message, hint } = error;
    const trouble = `${code} ${message}`;
    if (trouble !== this.#lastTrouble) {
      const level = error.disposition === 'retry' ? 'warn' : 'error';
      logger[level](
        { outbox: this.#outbox.name, code, reason: message, hint },
        'the clean-up failed; the relay goes on, and it is tried again',
      );
    }
    this.#lastTrouble = trouble;
  }

  get #outbox(): OutboxSettings {
    return this.#place.outbox;
  }

  /** The connection may come from another table: partitions are made as the owner, and their bounds are read in UTC. */
  async #enter(connection: CleaningConnection): Promise<CleanedTable> {
    await connection.change('RESET ROLE');
    if (this.#outbox.cleanup !== 'partitions') {
      await connection.change('RESET TimeZone');
      return await this.#readTable(connection);
    }
    await connection.change("SET TimeZone = 'UTC'");
    const table = await this.#readTable(connection);
    await connection.change(partitionSessionSql(table));
    return table;
  }

  async #readTable(connection: CleaningConnection): Promise<CleanedTable> {
    const table = await readCleanedTable(connection, this.#place);
    const { clock } = this.#options;
    return clock === undefined ? table : { ...table, nowUs: clock(table.nowUs) };
  }

  async #deleteRipe(
    connection: CleaningConnection,
    table: CleanedTable,
    note: CleanUpNote,
    partition?: string,
  ): Promise<void> {
    const { logger, metrics, isStopped } = this.#options;
    const { settings } = this.#place;
    const sql = deleteBatchSql(this.#place, table, note, partition);
    if (sql === null) return;
    let rows = 0;
    for (let deleted = settings.cleanupBatchRowsMax; deleted === settings.cleanupBatchRowsMax; ) {
      if (isStopped()) return;
      const startedMs = performance.now();
      deleted = await connection.change(sql);
      // The last one finds too few, and has read all there is to read.
      this.#readingMs = table.hasTimeIndex ? 0 : performance.now() - startedMs;
      metrics.recordDeleted(deleted);
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
    const { logger, metrics, isStopped } = this.#options;
    const plan = planPartitions({
      nowUs: table.nowUs,
      retentionMs: this.#outbox.cleanupRetentionMs,
      daysAhead: this.#place.settings.cleanupPartitionsAhead,
      partitions: table.partitions,
    });
    const troubles: unknown[] = [];
    const attempt = async (work: () => Promise<void>) => {
      if (isStopped() || connection.isOver) return;
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
        metrics.recordMade();
        logger.info({ partition: name }, 'a partition was made');
      });
    }
    for (const partition of plan.expired) {
      await attempt(async () => {
        const outcome = await dropPartition(connection, this.#place, table, note, partition);
        if (outcome === 'dropped') {
          metrics.recordDropped();
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
    this.#partitionDays = daysCovered(table.nowUs, partitions);
    if (troubles.length > 0) throw troubles[0];
  }

  #sayHow(table: CleanedTable, note: CleanUpNote): void {
    if (this.#hasSaidHow) return;
    this.#hasSaidHow = true;
    const { logger } = this.#options;
    const { cleanup, cleanupRetentionMs } = this.#outbox;
    const keepsOlder = this.#place.settings.cleanupOlderRows === 'keep';
    logger.info(
      {
        table: table.name,
        cleanup,
        retentionMs: cleanupRetentionMs,
        by: table.timeColumn ?? 'the slot',
        ...(keepsOlder ? { since: new Date(note.since.atMs).toISOString() } : {}),
      },
      'cleaning up confirmed rows',
    );
    if (cleanup !== 'delete' || (table.timeColumn !== null && table.hasTimeIndex)) return;
    logger.warn(
      { table: table.name },
      table.timeColumn === null
        ? 'the clean-up reads the whole table at each look: it has no time column'
        : `the clean-up reads the whole table at each look: no index begins with ${table.timeColumn}`,
    );
  }
}

/** Of its time, the clean-up reads a table a twentieth. */
const PAUSE_SHARE = 19;
const REFUSED_DAY_MS = 3_600_000;

export interface TableCleaningOptions {
  readonly place: CleaningPlace;
  readonly logger: Logger;
  readonly metrics: CleanUpMetrics;
  readonly isStopped: () => boolean;
  /** What to take for the time, given that of Postgres (microseconds). */
  readonly clock?: ((nowUs: number) => number) | undefined;
}
