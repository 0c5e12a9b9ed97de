import { formatTableName, type TableName } from '../config/table-name.ts';
import type { PresetName } from '../config/presets.ts';
import type { OutboxSettings } from '../config/settings.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { entryOfRow, type SampleEntry } from '../recovery/sample-entry.ts';
import { compileOutbox } from '../route/outbox.ts';
import { rowValues } from '../source/row-values.ts';
import type { SnapshotReader } from '../source/snapshot-reader.ts';
import { type SurveyedTable, TABLE_SURVEY_SQL } from '../source/table-survey.ts';
import { findObstacle, findWarnings } from './find-warnings.ts';
import { constantStream, propose, type Proposal, type ProposedSettings, SCORE_SHOWN_MIN } from './propose.ts';
import { proposedFile, settingsOfFile } from './proposed-file.ts';
import { madeUpRow, readSampleRow } from './sample-row.ts';

/** A table that may be an outbox, with everything that `init --detect` says of it. */
export interface Candidate {
  readonly proposal: Proposal;
  /** The configuration file that relays it. */
  readonly file: string;
  /** What a relay reads in that file. */
  readonly outbox: OutboxSettings;
  readonly sample: Sample;
  readonly warnings: readonly string[];
  /** Why its rows can't be relayed; null: they can. */
  readonly obstacle: string | null;
}

export interface Sample {
  /** Null: the row would be left out by a route. */
  readonly entry: SampleEntry | null;
  /** Why it is made up rather than made of a row; null: it is made of one. */
  readonly madeUpBecause: string | null;
}

export interface DetectOptions {
  /** Only this one, whatever it looks like. */
  readonly table: TableName | null;
  readonly preset: PresetName | null;
  readonly further: ProposedSettings;
}

/** The tables of the database that may be outboxes, the best first. It reads only. */
export async function detectOutboxes(
  reader: SnapshotReader,
  options: DetectOptions,
): Promise<{ readonly database: string; readonly candidates: readonly Candidate[] }> {
  // Whoever looks around must not wait behind a lock, nor scan a table that is bloated for long.
  await reader.query("SET lock_timeout = '2s'");
  await reader.query("SET statement_timeout = '15s'");
  await reader.query('SET default_transaction_read_only = on');
  const [facts] = await reader.query('SELECT current_database(), getdatabaseencoding()');
  const database = facts?.[0] ?? '';
  const [survey] = await reader.query(TABLE_SURVEY_SQL);
  const tables = JSON.parse(survey?.[0] ?? '[]') as readonly SurveyedTable[];
  const proposals = choose(tables, options);
  const candidates: Candidate[] = [];
  for (const proposal of proposals.slice(0, CANDIDATES_MAX)) {
    candidates.push(
      await examine(reader, proposal, {
        isRaw: facts?.[1] === 'SQL_ASCII',
        database,
        further: options.further,
      }),
    );
  }
  return {
    database,
    candidates: candidates.toSorted(
      (one, other) => Number(one.obstacle !== null) - Number(other.obstacle !== null),
    ),
  };
}

function choose(
  tables: readonly SurveyedTable[],
  { table: pinned, preset }: DetectOptions,
): readonly Proposal[] {
  const only = preset ?? undefined;
  if (pinned === null) {
    return tables
      .flatMap((table) => propose(table, only) ?? [])
      .filter(({ score }) => score >= SCORE_SHOWN_MIN)
      .toSorted((one, other) => other.score - one.score);
  }
  const name = formatTableName(pinned);
  const found = tables.find((table) => formatTableName(table) === name);
  if (found === undefined) {
    throw new WalrelayError(
      'TABLE_MISSING',
      `there is no table ${name} (or it is a partition of another one)`,
      {
        hint: 'Correct --table, or leave it out to see what is there.',
      },
    );
  }
  const proposal = propose(found, only);
  if (proposal !== null) return [proposal];
  throw new WalrelayError(
    'COLUMN_UNSUITABLE',
    only === undefined
      ? `nothing in the table ${name} looks like an id and a payload`
      : `the table ${name} does not have the columns of the preset ${only}`,
    { hint: 'Write the file by hand: docs/mapping.md says how.' },
  );
}

interface Surroundings {
  readonly isRaw: boolean;
  readonly database: string;
  readonly further: ProposedSettings;
}

async function examine(reader: SnapshotReader, proposal: Proposal, about: Surroundings): Promise<Candidate> {
  const { table } = proposal;
  const file = proposedFile(proposal, about);
  const settings = settingsOfFile(file);
  const [outbox] = settings.outboxes as readonly [OutboxSettings];
  const compiled = compileOutbox(outbox, settings);
  const values = rowValues(compiled, {
    isRaw: about.isRaw,
    typeOf: (column) => table.columns.find(({ name }) => name === column)?.declaredType,
  });
  const source = { outbox: compiled, values, isRaw: about.isRaw };
  const obstacle = findObstacle(proposal);
  const warnings = findWarnings(proposal, outbox);
  const made = (madeUpBecause: string): Candidate => ({
    proposal,
    file,
    outbox,
    sample: { entry: entryOfRow(madeUpRow(table, compiled, values), source), madeUpBecause },
    warnings,
    obstacle,
  });
  if (table.kind === 'f') return made('the table is a foreign one');
  if (!table.canSelect) return made('this role may not read the table');
  const found = await readOrReason(() => readSampleRow(reader, table, values, outbox.columnPayload));
  if (typeof found === 'string') return made(found);
  if (found === undefined) return made('the table is empty');
  try {
    const entry = entryOfRow(found, source);
    return { proposal, file, outbox, sample: { entry, madeUpBecause: null }, warnings, obstacle };
  } catch (error) {
    if (!(error instanceof WalrelayError) || error.disposition !== 'poison') throw error;
    const stream = constantStream(table);
    if (proposal.settings['stream'] === stream) throw error;
    const again = await examine(reader, { ...proposal, settings: { ...proposal.settings, stream } }, about);
    const why = `a row that is there has no stream by ${outbox.stream}, so all go to ${stream}`;
    return { ...again, warnings: [...again.warnings, why] };
  }
}

/** A lock, a time limit, a right: no reason to say nothing of the table. A connection that is gone is one. */
async function readOrReason<T>(read: () => Promise<T>): Promise<T | string> {
  try {
    return await read();
  } catch (error) {
    const isAnswer =
      error instanceof WalrelayError && error.cause instanceof Error && 'severity' in error.cause;
    if (!isAnswer) throw error;
    return `no row of it could be read (${error.message})`;
  }
}

const CANDIDATES_MAX = 5;
