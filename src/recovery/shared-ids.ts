import { WalrelayError } from '../core/walrelay-error.ts';
import type { Outbox } from '../route/outbox.ts';
import { RowRouter } from '../route/row-router.ts';
import { rangeSql } from '../source/row-order.ts';
import { idSql } from '../source/row-values.ts';
import { quoteQualified } from '../source/sql.ts';
import { rangeFrom, type RowSource } from './missing-rows.ts';

/**
 * Refuses tables of which two have rows of the same id for the same stream. An entry there does not tell which of them it is
 * of, so that a snapshot that was interrupted might take the one for the other when one of the rows is gone.
 */
export async function refuseSharedIds(sources: readonly RowSource[]): Promise<void> {
  for (const [number, one] of sources.entries()) {
    for (const other of sources.slice(number + 1)) {
      if (!mayShareStream(one.outbox, other.outbox)) continue;
      const clash = await findSharedId(one, other);
      if (clash === null) continue;
      const names = `${one.outbox.mapping.name} and ${other.outbox.mapping.name}`;
      throw new WalrelayError(
        'COLUMN_UNSUITABLE',
        `${names} both have a row with the id ${JSON.stringify(clash.id)} for the stream ${clash.stream}: an entry there would ` +
          'not tell which of them it is of',
        { hint: 'Give them streams of their own, or ids that differ: see docs/mapping.md.' },
      );
    }
  }
}

/** Whether templates of both could give one name, as far as their beginnings and ends tell. */
export function mayShareStream(one: Pick<Outbox, 'templates'>, other: Pick<Outbox, 'templates'>): boolean {
  return one.templates.some(({ literals: a }) =>
    other.templates.some(({ literals: b }) => {
      if (a.length === 1 && b.length === 1) return a[0] === b[0];
      const [beginA = '', beginB = ''] = [a[0], b[0]];
      const [endA = '', endB = ''] = [a.at(-1), b.at(-1)];
      return (
        (beginA.startsWith(beginB) || beginB.startsWith(beginA)) &&
        (endA.endsWith(endB) || endB.endsWith(endA))
      );
    }),
  );
}

async function findSharedId(
  one: RowSource,
  other: RowSource,
): Promise<{ readonly id: string; readonly stream: string } | null> {
  const { reader } = one;
  const routers = [
    new RowRouter(one.outbox, (slot) => 1 + one.outbox.routingSlots.indexOf(slot), one),
    new RowRouter(
      other.outbox,
      (slot) => 1 + one.outbox.routingSlots.length + other.outbox.routingSlots.indexOf(slot),
      other,
    ),
  ] as const;
  const values = ['a.id', ...valueNames('a', one), ...valueNames('b', other)].join(', ');
  // Outside of a transaction, too.
  await reader.query(`DECLARE walrelay_shared NO SCROLL CURSOR WITH HOLD FOR
SELECT ${values} FROM (${rowsSql(one)}) a JOIN (${rowsSql(other)}) b ON a.id = b.id`);
  for (;;) {
    const page = await reader.query(`FETCH ${ROWS_PER_PAGE} FROM walrelay_shared`);
    for (const row of page) {
      const [first, second] = routers.map((router) => router.find(row));
      if (typeof first !== 'object' || typeof second !== 'object') continue;
      if (first.stream === second.stream) return { id: row[0] ?? '', stream: first.stream };
    }
    if (page.length < ROWS_PER_PAGE) break;
  }
  await reader.query('CLOSE walrelay_shared');
  return null;
}

function rowsSql(source: RowSource): string {
  const { outbox, values, order, table } = source;
  const routing = outbox.routingSlots.map((slot, number) => `${values.sql[slot]} AS v${number}`);
  const columns = [`(${idSql(outbox.mapping.columnId)})::text AS id`, ...routing].join(', ');
  const [where = ''] = rangeSql(order, rangeFrom(source.since, source));
  return `SELECT ${columns} FROM ${quoteQualified(table)} ${where}`;
}

function valueNames(alias: string, { outbox }: RowSource): string[] {
  return outbox.routingSlots.map((_, number) => `${alias}.v${number}`);
}

const ROWS_PER_PAGE = 5000;
