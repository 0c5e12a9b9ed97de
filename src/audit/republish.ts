import type { Settings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { PublishBatch, type PublishRouter } from '../sink/publish-batch.ts';
import { packShapes } from '../sink/packed-shapes.ts';
import type { Republisher } from '../sink/republisher.ts';
import { idSql } from '../source/row-values.ts';
import type { AuditedTable } from './audited-table.ts';
import type { Pace } from './pace.ts';
import type { ReadingConnection, TextRow } from './reading-connection.ts';
import { hasIdSql, IDS_PER_QUERY } from './rows-by-id.ts';

export interface Republishing {
  readonly settings: Settings;
  readonly postgres: ReadingConnection;
  readonly table: AuditedTable;
  readonly router: PublishRouter;
  readonly publisher: Republisher;
  readonly pace: Pace;
  /** Told after every batch. */
  readonly published: (events: number) => void;
}

/**
 * Appends the rows of these ids, in the order of the ids. Each row is read right before it is appended: one that is gone by
 * then is left out. Returns how many were appended.
 */
export async function republish(ids: readonly string[], options: Republishing): Promise<number> {
  const { settings, table, pace, published } = options;
  const batch = new PublishBatch(
    { ...settings, batchEventsMax: Math.min(settings.batchEventsMax, EVENTS_PER_SCRIPT) },
    {
      shapes: packShapes(table.outbox.shapes, { hasPosition: false }),
      encodings: table.values.encodings,
      kinds: table.values.kinds,
      router: options.router,
    },
  );
  let names: string[] = [];
  let total = 0;
  const send = async () => {
    if (batch.eventCount === 0) return;
    const count = await options.publisher.publish(batch, (event) => names[event] ?? '?');
    batch.clear();
    names = [];
    total += count;
    published(count);
    await pace.wait(count);
  };
  const step = Math.max(1, Math.min(IDS_PER_QUERY, Math.floor(pace.perSecond)));
  for (let at = 0; at < ids.length; at += step) {
    for (const row of await readRowsOf(ids.slice(at, at + step), options)) {
      let added = batch.add(row, ID_COLUMNS);
      if (added === 'full') {
        await send();
        added = batch.add(row, ID_COLUMNS);
        if (added === 'full') throw new WalrelayError('BUG', 'an empty batch has no room for an event');
      }
      if (added === 'added') names.push(row[0] ?? '?');
    }
    await send();
  }
  return total;
}

/** In front of a row's values: its id as text. */
const ID_COLUMNS = 1;
/** A script blocks Redis for as long as it appends. */
const EVENTS_PER_SCRIPT = 100;

async function readRowsOf(ids: readonly string[], { postgres, table }: Republishing): Promise<TextRow[]> {
  const id = idSql(table.outbox.mapping.columnId);
  const rows = await postgres.rows(
    `SELECT ${[id, ...table.values.sql].join(', ')} FROM ${table.name} WHERE ${hasIdSql(table)}`,
    [ids],
  );
  const places = new Map(ids.map((name, place) => [name, place]));
  return rows.toSorted((a, b) => (places.get(a[0] ?? '') ?? 0) - (places.get(b[0] ?? '') ?? 0));
}
