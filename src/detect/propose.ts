import { columnKind } from '../core/column-kind.ts';
import {
  findPreset,
  hasColumn,
  type Preset,
  PRESET_NAMES,
  type PresetName,
  type PresetValue,
} from '../config/presets.ts';
import { formatTableName } from '../config/table-name.ts';
import type { SurveyedColumn, SurveyedTable } from '../source/table-survey.ts';
import { type ColumnRoles, findRoles, type FoundColumn, isUniqueId } from './column-roles.ts';
import { tableNameScore } from './table-name-score.ts';

/** How a table may be relayed, and how likely it is that somebody means it to be. */
export interface Proposal {
  readonly table: SurveyedTable;
  /** 0 to 100. */
  readonly score: number;
  readonly preset: PresetName | null;
  /** What the file says, by the keys of the settings: with a preset, only what is otherwise than it has it. */
  readonly settings: ProposedSettings;
  readonly reasons: readonly string[];
  readonly roles: ColumnRoles;
}

export type ProposedSettings = Readonly<Record<string, PresetValue>>;

/** Below it a table is not worth showing. */
export const SCORE_SHOWN_MIN = 50;

/** Null where no column can be the id, or none the payload: there is nothing to make entries of. */
export function propose(table: SurveyedTable, only?: PresetName): Proposal | null {
  const matches = PRESET_NAMES.filter((name) => only === undefined || name === only)
    .map((name) => matchPreset(table, name))
    .filter((match) => match !== null)
    .toSorted((one, other) => other.known - one.known || other.required - one.required);
  const [best] = matches;
  if (best !== undefined) return proposePreset(table, best);
  return only === undefined ? proposeByRoles(table) : null;
}

interface PresetMatch {
  readonly name: PresetName;
  readonly preset: Preset;
  readonly required: number;
  /** Columns of the table that the preset knows. */
  readonly known: number;
}

function matchPreset(table: SurveyedTable, name: PresetName): PresetMatch | null {
  const preset = findPreset(name);
  if (preset === undefined) return null;
  const columns = new Map(usable(table).map((column) => [column.name, column]));
  const required = Object.entries(preset.required);
  const isThere = ([column, kinds]: (typeof required)[number]) => {
    const found = columns.get(column);
    return found !== undefined && kinds.includes(columnKind(found.type));
  };
  if (!required.every(isThere)) return null;
  const known = [...columns.keys()].filter((column) => hasColumn(preset, column)).length;
  if (preset.isExact && known < table.columns.length) return null;
  return { name, preset, required: required.length, known };
}

function proposePreset(table: SurveyedTable, { name, preset, known }: PresetMatch): Proposal {
  const columns = new Map(usable(table).map((column) => [column.name, column]));
  const said = (key: string): PresetValue | undefined =>
    (preset.defaults as Readonly<Record<string, PresetValue>>)[key];
  const settings: Record<string, PresetValue> = { preset: name, table: formatTableName(table) };

  // Columns that only newer versions of the product have.
  for (const key of ['columnType', 'columnAggregateType', 'columnAggregateId', 'columnPayload']) {
    const column = said(key);
    if (typeof column === 'string' && column !== 'none' && !columns.has(column)) settings[key] = 'none';
  }
  const roles = findRoles(table);
  const time = settledTime(table, roles, said('columnTime') ?? 'created_at');
  if (time !== (said('columnTime') ?? 'created_at')) settings['columnTime'] = time;

  const presetFields = Object.entries((said('fields') ?? {}) as Readonly<Record<string, string>>);
  const kept = presetFields.filter(([, column]) => columns.has(column));
  const more = roles.headers
    .filter((column) => !hasColumn(preset, column))
    .map((column) => [column, column] as const);
  if (kept.length < presetFields.length || more.length > 0)
    settings['fields'] = Object.fromEntries([...kept, ...more]);

  const byName = tableNameScore(table.name);
  const isItsTable = said('table') === formatTableName(table);
  const points =
    (preset.isProduct ? 75 : 45) +
    Math.round((20 * known) / table.columns.length) +
    (isItsTable && byName.points === 0 ? 10 : byName.points);
  return {
    table,
    score: clamp(points, 100),
    preset: name,
    settings,
    reasons: [
      `it has the columns of ${preset.title} (${known} of its ${table.columns.length})`,
      ...(isItsTable ? ['it is called as it is there'] : byName.reason === null ? [] : [byName.reason]),
    ],
    roles,
  };
}

function proposeByRoles(table: SurveyedTable): Proposal | null {
  const roles = findRoles(table);
  const { id, type, aggregateType, aggregateId, payload, time, headers, progress } = roles;
  if (id.length === 0 || payload === null) return null;
  const isUnique = isUniqueId(table, id);
  const byName = tableNameScore(table.name);
  const signs: readonly (readonly [points: number, reason: string | null])[] = [
    [byName.points, byName.reason],
    [isUnique ? 15 : 10, `${list(id)} can be the id${isUnique ? ', and is unique' : ''}`],
    [worth(payload, payload.kind === 'text' ? 10 : 15), `${list([payload.name])} the payload`],
    [worth(type, 10), type === null ? null : `${list([type.name])} the type`],
    [
      worth(aggregateType, 8),
      aggregateType === null ? null : `${list([aggregateType.name])} what it is routed by`,
    ],
    [worth(aggregateId, 8), aggregateId === null ? null : `${list([aggregateId.name])} what it is about`],
    [time === null ? 0 : 4, null],
    [headers.length > 0 ? 4 : 0, null],
    [
      progress.length > 0 ? 5 : 0,
      progress.length > 0 ? `${list(progress)} is of somebody who sends its rows` : null,
    ],
  ];
  const points = signs.reduce((sum, [each]) => sum + each, 0);
  const name = (found: FoundColumn | null) => found?.name ?? 'none';
  return {
    table,
    score: clamp(points, BY_ROLES_MAX),
    preset: null,
    settings: {
      table: formatTableName(table),
      columnId: id.some((column) => column.includes(',') || column !== column.trim()) ? id : id.join(', '),
      columnType: name(type),
      columnAggregateType: name(aggregateType),
      columnAggregateId: name(aggregateId),
      columnPayload: payload.name,
      columnTime: settledTime(table, roles, name(time)),
      ...(headers.length > 0
        ? { fields: Object.fromEntries(headers.map((column) => [column, column])) }
        : {}),
      stream: aggregateType === null ? constantStream(table) : 'outbox.${aggregatetype}',
    },
    reasons: signs.flatMap(([each, reason]) => (each === 0 || reason === null ? [] : [reason])),
    roles,
  };
}

/** A stream for all events of a table, whose name may hold what a stream's may not. */
export function constantStream({ name }: SurveyedTable): string {
  const plain = name.replaceAll(/[^\p{L}\p{M}\p{N}._-]+/gu, '_');
  return /outbox/i.test(plain) ? plain : `outbox.${plain}`;
}

/** The time column that can be relied on: a preset's, if Postgres fills it, else another that it fills, else none. */
function settledTime(table: SurveyedTable, { time }: ColumnRoles, said: PresetValue): string {
  const wanted = [said, time?.name].flatMap(
    (name) => usable(table).find((column) => column.name === name) ?? [],
  );
  return wanted.find(isFilledByPostgres)?.name ?? 'none';
}

/** The audit concludes from the time that a row was not committed earlier. A clock of an application is another one. */
export function isFilledByPostgres({ type, default: expression }: SurveyedColumn): boolean {
  return (
    columnKind(type) === 'time' &&
    /\b(?:now|clock_timestamp|transaction_timestamp|statement_timestamp|timezone)\(|\b(?:CURRENT_TIMESTAMP|LOCALTIMESTAMP)\b/i.test(
      expression ?? '',
    )
  );
}

function usable(table: SurveyedTable): readonly SurveyedColumn[] {
  return table.columns.filter(({ isGenerated }) => !isGenerated);
}

function worth(found: FoundColumn | null, points: number): number {
  if (found === null) return 0;
  return found.isCommon ? Math.floor(points / 2) : points;
}

function list(columns: readonly string[]): string {
  return columns.join(', ');
}

function clamp(points: number, max: number): number {
  return Math.max(0, Math.min(max, points));
}

/** What is known by name is preferred to what is guessed. */
const BY_ROLES_MAX = 84;
