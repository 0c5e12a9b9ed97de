import type { ClientConfig } from 'pg';
import type { Settings } from '../config/settings.ts';
import { createDeferred } from '../core/deferred.ts';
import { type Lsn, readLsn, ZERO_LSN } from '../core/lsn.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { eventIdOf } from '../decode/event-id.ts';
import { PgoutputDecoder } from '../decode/pgoutput-decoder.ts';
import { RelationFinder } from '../relay/relation-finder.ts';
import type { RelayShape } from '../relay/relay-shape.ts';
import type { Outbox } from '../route/outbox.ts';
import type { Catalog } from '../source/catalog.ts';
import { ReplicationConnection } from '../source/replication-connection.ts';
import {
  KEEPALIVE,
  KEEPALIVE_BYTES,
  XLOG_DATA,
  XLOG_DATA_HEADER_BYTES,
} from '../source/walsender-message.ts';

/**
 * Reads the slot from its beginning, as the relay will, and hands over the ids of the events that were committed before
 * `untilLsn`. Confirms nothing: the slot stays where it is.
 */
export async function readSlotIds(
  config: ClientConfig,
  options: {
    readonly settings: Settings;
    readonly shape: RelayShape;
    readonly catalog: Catalog;
    /** The database says nothing about its bytes (SQL_ASCII). */
    readonly isRaw: boolean;
    readonly untilLsn: Lsn;
    readonly take: (id: string, outbox: Outbox) => void;
  },
): Promise<void> {
  const { settings, shape, catalog, isRaw, untilLsn, take } = options;
  const postgres = await ReplicationConnection.open(config);
  const done = createDeferred<void>();
  done.promise.catch(() => {});
  let isBefore = false;
  const decoder = new PgoutputDecoder(new RelationFinder(shape, catalog), {
    begin: (commitLsn) => {
      isBefore = commitLsn < untilLsn;
      if (!isBefore) done.resolve();
    },
    insert: (bytes, starts, lengths, plan) => {
      const outbox = shape.outboxes[plan.outbox]?.outbox;
      if (outbox === undefined) throw new WalrelayError('BUG', 'an event of an unknown outbox');
      const id = isBefore ? eventIdOf(outbox.slots.id, bytes, starts, lengths) : null;
      if (id !== null) take(id, outbox);
    },
    commit: (endLsn) => {
      if (endLsn >= untilLsn) done.resolve();
    },
  });
  const copyData = (bytes: Buffer, start: number, end: number) => {
    if (bytes[start] === XLOG_DATA && end - start > XLOG_DATA_HEADER_BYTES) {
      decoder.decode(bytes, start + XLOG_DATA_HEADER_BYTES, end);
    } else if (bytes[start] === KEEPALIVE && end - start === KEEPALIVE_BYTES) {
      // In the middle of a transaction it proves nothing about what has been sent.
      if (!decoder.isInTransaction && readLsn(bytes, start + 1) >= untilLsn) done.resolve();
    } else {
      throw new WalrelayError('PG_PROTOCOL', `the walsender sent an unknown message (${bytes[start]})`);
    }
  };
  let timer: NodeJS.Timeout | null = null;
  try {
    if (isRaw) await postgres.query("SET client_encoding TO 'SQL_ASCII'");
    void postgres.ended.then((error) => done.reject(error));
    await postgres.start({
      slot: settings.slot,
      publication: settings.publication,
      rowBytesMax: settings.eventBytesMax,
      copyData,
      chunkEnd: () => {},
      failed: (error) => done.reject(error),
    });
    // An answer says how far it has come; and a walsender that hears nothing gives up.
    const ask = () =>
      postgres.sendStatus({
        receivedLsn: ZERO_LSN,
        confirmedLsn: ZERO_LSN,
        nowMs: Date.now(),
        isReplyRequested: true,
      });
    ask();
    timer = setInterval(ask, ASK_INTERVAL_MS);
    await done.promise;
  } finally {
    if (timer !== null) clearInterval(timer);
    await postgres.close(GOODBYE_TIMEOUT_MS);
  }
}

const ASK_INTERVAL_MS = 200;
const GOODBYE_TIMEOUT_MS = 500;
