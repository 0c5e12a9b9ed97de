import { setTimeout as sleep } from 'node:timers/promises';
import { quoteIdentifier } from '../source/sql.ts';
import type { BenchPlace } from './contestant.ts';
import { type ControlPostgres, withPostgres } from './control-postgres.ts';
import { aggregateTypeOf, LOADER, loaderAggregates } from './load-plan.ts';
import type { Scenario } from './scenario.ts';

export const TABLE_NAME = 'outbox';
/** What a loaded payload has beside its padding. */
const ENVELOPE_BYTES = 21 + 18;
const PADDING_BYTES_MAX = 200;
const FLUSH_POLL_MS = 20;

/**
 * Writes a backlog inside of the server, at its own speed: `rows_each` rows in each transaction. Aggregate and stream
 * of a row are those of LOADER in load-plan.ts.
 */
export function backlogProcedureSql(schema: string): string {
  return `CREATE PROCEDURE ${quoteIdentifier(schema)}.load_backlog(
      loader int, events int, rows_each int, aggregates int, streams int, padding text)
    LANGUAGE plpgsql AS $$
    BEGIN
      FOR at_event IN 0 .. events - 1 BY rows_each LOOP
        ${insertSql(schema, {
          loader: 'loader',
          aggregates: 'aggregates',
          streams: 'streams',
          padding: 'padding',
          from: 'at_event',
          to: 'least(at_event + rows_each, events) - 1',
        })};
        COMMIT;
      END LOOP;
    END $$`;
}

/** Has the server write the scenario's backlog; resolves when the WAL of it is flushed. */
export async function loadBacklog(
  { databaseUrl, table: { schema }, signal }: BacklogPlace,
  scenario: Scenario,
): Promise<void> {
  const { plan, backlogEvents, backlogRowsPerTransaction } = scenario;
  await withPostgres(databaseUrl, async (postgres) => {
    // A disk that is asked 200,000 times to flush would take minutes; what counts is how fast the backlog is read.
    await postgres.query('SET synchronous_commit = off');
    using _ = await cancelOnAbort(databaseUrl, postgres, signal);
    const sizes = [LOADER, backlogEvents, backlogRowsPerTransaction, loaderAggregates(plan), plan.streams];
    await postgres.query(
      `CALL ${quoteIdentifier(schema)}.load_backlog(${sizes.join(', ')}, '${paddingOf(scenario)}')`,
    );
    await untilFlushed(postgres);
  });
}

/** The whole backlog in one transaction; resolves with the moment at which COMMIT was sent. */
export async function commitBacklogAtOnce(
  { databaseUrl, table: { schema }, signal }: BacklogPlace,
  scenario: Scenario,
  committing: () => Promise<number>,
): Promise<number> {
  const { plan, backlogEvents } = scenario;
  return await withPostgres(databaseUrl, async (postgres) => {
    using _ = await cancelOnAbort(databaseUrl, postgres, signal);
    await postgres.query('BEGIN');
    await postgres.query(
      insertSql(schema, {
        loader: String(LOADER),
        aggregates: String(loaderAggregates(plan)),
        streams: String(plan.streams),
        padding: `'${paddingOf(scenario)}'`,
        from: '0',
        to: String(backlogEvents - 1),
      }),
    );
    const sentUs = await committing();
    await postgres.query('COMMIT');
    return sentUs;
  });
}

type BacklogPlace = Pick<BenchPlace, 'databaseUrl' | 'table' | 'signal'>;

/** The server would write on for a minute after Ctrl-C, and hold the table. */
async function cancelOnAbort(
  databaseUrl: string,
  postgres: ControlPostgres,
  signal: AbortSignal,
): Promise<Disposable> {
  const [backend] = await postgres.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
  const cancel = () => {
    withPostgres(
      databaseUrl,
      async (other) => await other.query('SELECT pg_cancel_backend($1)', [backend?.pid]),
    ).catch(() => undefined);
  };
  signal.throwIfAborted();
  signal.addEventListener('abort', cancel, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', cancel) };
}

interface BacklogTerms {
  readonly loader: string;
  readonly aggregates: string;
  readonly streams: string;
  readonly padding: string;
  readonly from: string;
  readonly to: string;
}

function insertSql(schema: string, { loader, aggregates, streams, padding, from, to }: BacklogTerms): string {
  const typePrefix = aggregateTypeOf(0).slice(0, -1);
  return `INSERT INTO ${quoteIdentifier(schema)}.${quoteIdentifier(TABLE_NAME)} (aggregatetype, aggregateid, type, payload)
    SELECT '${typePrefix}' || (n % ${aggregates}) % ${streams}, ${loader} || '-' || n % ${aggregates}, 'bench.event',
      jsonb_build_object('m', '~wb~' || ${loader} || '~' || n || '~0~0~', 'pad', ${padding})
    FROM generate_series(${from}, ${to}) n`;
}

function paddingOf({ plan }: Scenario): string {
  return 'x'.repeat(Math.max(0, Math.min(plan.payloadBytes, PADDING_BYTES_MAX) - ENVELOPE_BYTES));
}

/** A slot is read up to what is flushed. */
async function untilFlushed(postgres: ControlPostgres): Promise<void> {
  const [end] = await postgres.query<{ lsn: string }>('SELECT pg_current_wal_insert_lsn() AS lsn');
  for (;;) {
    const [wal] = await postgres.query<{ isFlushed: boolean }>(
      'SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn AS "isFlushed"',
      [end?.lsn],
    );
    if (wal?.isFlushed === true) return;
    await sleep(FLUSH_POLL_MS);
  }
}
