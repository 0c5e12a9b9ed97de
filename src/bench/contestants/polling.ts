import { quoteIdentifier, quoteQualified } from '../../source/sql.ts';
import { CliProcess } from '../cli-process.ts';
import type { ContestantKind } from '../bench-report.ts';
import type { BenchPlace, Contestant } from '../contestant.ts';
import { withPostgres } from '../control-postgres.ts';
import type { ProgramOptions } from '../program-process.ts';
import { relaySettings } from './walrelay.ts';

/** What its connections are called. */
const APPLICATION_NAME = 'walrelay-poll';
/** When nothing wakes it, as after a lost connection. */
const NOTIFIED_INTERVAL_MS = 1000;

export function pollingContestant(intervalMs: number, version: string, options: ProgramOptions): Contestant {
  return contestant({
    id: `poll-${intervalMs}`,
    name: `polling every ${intervalMs === 1000 ? 'second' : `${intervalMs} ms`}`,
    kind: 'polling',
    summary: `\`walrelay poll\`: looks for new rows every ${intervalMs} ms, publishes and deletes them, without a pause while there are more.`,
    version,
    options,
    settings: () => ({ WALRELAY_POLL_INTERVAL_MS: String(intervalMs) }),
    setUp: indexOrder,
  });
}

export function notifyContestant(version: string, options: ProgramOptions): Contestant {
  return contestant({
    id: 'notify',
    name: 'polling woken by NOTIFY',
    kind: 'notify',
    summary:
      '`walrelay poll`, woken by a trigger that sends NOTIFY for each statement; otherwise it looks once a second.',
    version,
    options,
    settings: (place) => ({
      WALRELAY_POLL_INTERVAL_MS: String(NOTIFIED_INTERVAL_MS),
      WALRELAY_POLL_LISTEN_CHANNEL: place.name,
    }),
    async setUp(place) {
      await indexOrder(place);
      await notifyInserts(place);
    },
  });
}

interface PollingVariant {
  readonly id: string;
  readonly name: string;
  readonly kind: ContestantKind;
  readonly summary: string;
  readonly version: string;
  readonly options: ProgramOptions;
  settings(place: BenchPlace): Readonly<Record<string, string>>;
  setUp(place: BenchPlace): Promise<void>;
}

function contestant(variant: PollingVariant): Contestant {
  const { id, name, kind, summary, version, options } = variant;
  return {
    id,
    name,
    kind,
    summary,
    version,
    unavailable: async () => undefined,
    setUp: async (place) => await variant.setUp(place),
    async start(place) {
      const relay = new CliProcess(
        ['poll'],
        { ...relaySettings(place), ...variant.settings(place) },
        options,
      );
      await relay.started('polling', place.signal);
      return {
        pids: [relay.pid],
        applicationName: APPLICATION_NAME,
        ended: relay.ended,
        stop: async () => await relay.stop(),
      };
    },
    // Index and trigger go with the table, the function with the schema.
    tearDown: async () => undefined,
  };
}

/** Without it each look would sort the whole table. */
async function indexOrder({ databaseUrl, table }: BenchPlace): Promise<void> {
  await withPostgres(
    databaseUrl,
    async (postgres) => await postgres.query(`CREATE INDEX ON ${quoteQualified(table)} (created_at)`),
  );
}

/** For each statement, not for each row: Postgres sends one of equal notifications of a transaction anyway. */
async function notifyInserts({ databaseUrl, table, name }: BenchPlace): Promise<void> {
  const wake = `${quoteIdentifier(table.schema)}.${quoteIdentifier(`wake_${name}`)}`;
  await withPostgres(databaseUrl, async (postgres) => {
    await postgres.query(
      `CREATE FUNCTION ${wake}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NOTIFY ${quoteIdentifier(name)}; RETURN NULL; END $$`,
    );
    await postgres.query(
      `CREATE TRIGGER wake AFTER INSERT ON ${quoteQualified(table)} FOR EACH STATEMENT EXECUTE FUNCTION ${wake}()`,
    );
  });
}
