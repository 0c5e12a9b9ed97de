import { readFileSync } from 'node:fs';
import { CleanUp, type CleanUpOptions } from '../../src/clean-up/clean-up.ts';
import { loadSettings } from '../../src/config/load-settings.ts';
import { parseLsn } from '../../src/core/lsn.ts';
import { componentLogger, createLogger } from '../../src/ops/logger.ts';
import { RelayMetrics } from '../../src/ops/metrics.ts';
import type { Env, LogLine } from './cli.ts';
import type { RelayedEvent } from './compare-streams.ts';
import type { Oracle } from './exactness.ts';
import type { Outbox } from './outbox.ts';
import { waitFor } from './wait-for.ts';

/** A clean-up that deletes as early and as eagerly as it may. */
export const EAGER: Env = {
  WALRELAY_CLEANUP: 'delete',
  WALRELAY_CLEANUP_RETENTION_MS: '0',
  WALRELAY_CLEANUP_INTERVAL_MS: '100',
  WALRELAY_CLEANUP_ROWS_PER_SECOND_MAX: '1000000',
};

export const BEGUN = 'cleaning up confirmed rows';

/**
 * Notes with each row that is deleted up to where the slot was confirmed at that moment, in the deleting transaction itself.
 * Whoever else deletes finds that nothing goes.
 */
export async function noteDeletes(outbox: Outbox): Promise<void> {
  await outbox.query(`CREATE TABLE deleted (id uuid, confirmed pg_lsn);
    CREATE FUNCTION note_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF current_setting('application_name') NOT LIKE '%(clean-up)' THEN RETURN NULL; END IF;
      INSERT INTO deleted SELECT old.id, confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = '${outbox.name}';
      RETURN old; END $$;
    CREATE TRIGGER note_delete BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION note_delete()`);
}

/** Every row that was deleted had been confirmed by then, as a second slot tells its commit. Returns how many. */
export async function expectConfirmedBefore(outbox: Outbox, oracle: Oracle): Promise<number> {
  const deleted = await outbox.query<{ id: string; confirmed: string }>(
    'SELECT id::text, confirmed::text FROM deleted',
  );
  return expectAllConfirmed(deleted, await oracle.read());
}

function expectAllConfirmed(
  gone: readonly { readonly id: string; readonly confirmed: string }[],
  events: readonly RelayedEvent[],
): number {
  const commits = new Map(events.map((event) => [event.id, event]));
  const early = gone.filter(({ id, confirmed }) => {
    const commit = commits.get(id);
    return commit === undefined || parseLsn(confirmed) <= parseLsn(commit.lsn);
  });
  if (early.length > 0) {
    throw new Error(
      `${early.length} of ${gone.length} rows went before they were confirmed: ${JSON.stringify(early.slice(0, 3))}`,
    );
  }
  return gone.length;
}

/** The slot's horizon moves when the server writes which transactions run: every 15 s, and at a checkpoint. */
export async function waitForRows(
  outbox: Outbox,
  isWanted: (count: number) => boolean,
  options: { readonly table?: string; readonly timeoutMs?: number } = {},
): Promise<number> {
  let count = -1;
  await waitFor(
    `the wanted number of rows`,
    async () => {
      await outbox.query('CHECKPOINT');
      count = await countRows(outbox, options.table);
      return isWanted(count);
    },
    options.timeoutMs,
  );
  return count;
}

export async function countRows(outbox: Outbox, table = 'outbox'): Promise<number> {
  const [row] = await outbox.query<{ count: number }>(`SELECT count(*)::int AS count FROM ${table}`);
  return row?.count ?? -1;
}

/** Waits until everything that was committed by now, by any transaction that has ended, is behind the slot's horizon. */
export async function waitForHorizon(outbox: Outbox): Promise<void> {
  const [now] = await outbox.query<{ next: string }>(
    'SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS next',
  );
  await waitFor('the horizon of the slot to move', async () => {
    await outbox.query('CHECKPOINT');
    const [slot] = await outbox.query<{ isBehind: boolean }>(
      'SELECT age(catalog_xmin) <= age($2::xid) AS "isBehind" FROM pg_replication_slots WHERE slot_name = $1',
      [outbox.name, now?.next],
    );
    return slot?.isBehind === true;
  });
}

/** A clean-up inside of the test's own process, beside a relay that has none, so that its clock can be set. */
export class CleanUpBeside implements AsyncDisposable {
  readonly log: LogLine[] = [];
  readonly #cleanUp: CleanUp;
  readonly #running: Promise<void>;
  /** Days that the clock is ahead of that of Postgres. */
  daysAhead = 0;
  note = '';

  private constructor(outbox: Outbox, env: Env, facts: Pick<CleanUpOptions, 'catalog' | 'walSenderPid'>) {
    const write = (line: string) => {
      this.log.push(JSON.parse(line) as LogLine);
    };
    const settings = loadSettings({
      env: { ...outbox.env, ...EAGER, ...env },
      flags: {},
      readFile: (path) => readFileSync(path, 'utf8'),
    });
    this.#cleanUp = new CleanUp({
      ...facts,
      settings,
      logger: componentLogger(createLogger({ level: 'trace', destination: { write } }), 'relay'),
      metrics: new RelayMetrics({ version: 'test' }),
      holder: 'walrelay in a test',
      lanes: {
        annotate: async ({ clean_up: note }) => {
          this.note = note ?? '';
        },
      },
      state: {} as CleanUpOptions['state'],
      clock: (nowUs) => nowUs + this.daysAhead * 86_400_000_000,
    });
    this.#running = this.#cleanUp.run();
  }

  /** `walSenderPid`: of another session than the one that holds the slot. */
  static async start(
    outbox: Outbox,
    env: Env = {},
    walSenderPid?: number,
    tables: readonly string[] = ['outbox'],
  ): Promise<CleanUpBeside> {
    const [facts] = await outbox.query<{ oids: number[]; version: number; pid: number | null }>(
      `SELECT (SELECT array_agg(name::regclass::oid::int ORDER BY place) FROM unnest($2::text[]) WITH ORDINALITY AS t (name, place)) AS oids,
       current_setting('server_version_num')::int AS version,
       (SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1) AS pid`,
      [outbox.name, tables],
    );
    const catalog = {
      tables: facts?.oids.map((oid) => ({ table: { oid } })),
      server: { versionNumber: facts?.version, isInRecovery: false },
    };
    return new CleanUpBeside(outbox, env, {
      catalog: catalog as unknown as CleanUpOptions['catalog'],
      walSenderPid: walSenderPid ?? facts?.pid ?? -1,
    });
  }

  async waitForLog(msg: string, since = 0): Promise<LogLine> {
    return await waitFor(`the log line ${msg}; the log is ${JSON.stringify(this.log)}`, () =>
      this.log.slice(since).find((line) => line.msg === msg),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#cleanUp.stop();
    await this.#running;
  }
}

/**
 * Notes with each partition that is dropped up to where the slot was confirmed at that moment, and of each row the day
 * that it belongs to. Before the first event.
 */
export async function noteDrops(outbox: Outbox): Promise<void> {
  await outbox.query(`CREATE TABLE dropped (name text, confirmed pg_lsn);
    CREATE TABLE days (id uuid, name text);
    CREATE FUNCTION note_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO dropped SELECT d.object_name, s.confirmed_flush_lsn FROM pg_event_trigger_dropped_objects() d, pg_replication_slots s
      WHERE d.object_type = 'table' AND s.slot_name = '${outbox.name}'; END $$;
    CREATE EVENT TRIGGER ${outbox.name}_drop ON sql_drop EXECUTE FUNCTION note_drop();
    CREATE FUNCTION note_day() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO days VALUES (new.id, 'outbox_p' || to_char(new.created_at AT TIME ZONE 'UTC', 'YYYYMMDD'));
      RETURN new; END $$;
    CREATE TRIGGER note_day AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION note_day()`);
}

/** Every row of a partition had been confirmed when it was dropped. Returns how many rows went so. */
export async function expectDroppedWhenConfirmed(outbox: Outbox, oracle: Oracle): Promise<number> {
  const gone = await outbox.query<{ id: string; confirmed: string }>(
    'SELECT id::text, confirmed::text FROM days JOIN dropped USING (name)',
  );
  return expectAllConfirmed(gone, await oracle.read());
}
