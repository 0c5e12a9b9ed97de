import { WalrelayError } from '../core/walrelay-error.ts';
import { findOutboxProblems } from './check-outboxes.ts';
import { type ConfigFile, NO_CONFIG_FILE, readConfigFile, reasonOf } from './config-file.ts';
import { CONFIG_FILE, describeSettings, type SettingRow } from './describe-settings.ts';
import { nearestName } from './nearest-name.ts';
import { findPreset, presetValue } from './presets.ts';
import { OUTBOXES_KEY, resolveOutboxes, STRUCTURED_KEYS } from './resolve-outboxes.ts';
import {
  type CompleteValues,
  OUTBOX_KEYS,
  SHARED_KEYS,
  type OutboxSettings,
  type Settings,
  settingsSchema,
} from './settings.ts';
import { withoutLineEnd } from './secret-file.ts';

export interface SettingSources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Commander's options, by key. Options that are no settings (`json`) may be among them. */
  readonly flags: Readonly<Record<string, unknown>>;
  /** Returns the text of a file or throws. */
  readonly readFile: (path: string) => string;
  /** The configuration file; without it, `--config` or WALRELAY_CONFIG names one. */
  readonly configFile?: string;
  /** True: whoever asks uses Redis alone, and DATABASE_URL may be missing. */
  readonly needsNoDatabase?: boolean;
}

/** A value and where it came from. */
interface Given {
  readonly where: string;
  readonly raw: unknown;
  /** The file that holds nothing but this value. */
  readonly path?: string;
}

/** A host that nobody has (RFC 2606), so that whoever connects after all is told. */
const NO_DATABASE: Given = { where: 'DATABASE_URL', raw: 'postgres://not-asked.invalid/' };

/**
 * Flags before environment before file before default. Throws CONFIG_INVALID with every problem, a line each, so that
 * an operator corrects a deployment once and not once per mistake. Secrets are never repeated in it.
 */
export function loadSettings(sources: SettingSources): Settings {
  const rows = describeSettings();
  const file = openConfigFile(sources, rows);
  const problems = [...file.problems, ...findUnknownVariables(sources.env, rows)];

  const given = new Map<string, Given>();
  const unreadable = new Set<string>();
  for (const row of rows) {
    const found = findValue(row, sources, file);
    if (found.problem !== undefined) {
      problems.push(found.problem);
      unreadable.add(row.key);
    } else if (found.given !== undefined) {
      given.set(row.key, found.given);
    }
  }
  if (sources.needsNoDatabase === true && !given.has('databaseUrl') && !unreadable.has('databaseUrl'))
    given.set('databaseUrl', NO_DATABASE);

  const explicit = new Map(given);
  addPreset(given, rows);
  const result = settingsSchema.safeParse(
    Object.fromEntries([...given].map(([key, { raw }]): [string, unknown] => [key, raw])),
  );
  for (const issue of result.error?.issues ?? []) {
    const row = rows.find(({ key }) => key === issue.path[0]);
    if (row === undefined)
      throw new WalrelayError('BUG', `a settings rule names no setting: ${issue.message}`);
    const value = given.get(row.key);
    // Already reported: the place that would have given it could not be read.
    if (unreadable.has(row.key) || (value === undefined && row.default === undefined && !file.isRead))
      continue;
    problems.push(describeProblem(row, value, issue.message));
  }

  const { outboxes, problems: outboxProblems } = resolveOutboxes({
    flat: (key) => explicit.get(key)?.raw,
    file,
    show: showValue,
  });
  problems.push(...outboxProblems);
  if (result.success && outboxProblems.length === 0) {
    for (const { outbox, key, message } of findOutboxProblems(result.data, outboxes)) {
      const row = rows.find((one) => one.key === key);
      const isOfList = outbox !== null && file.values.has(OUTBOXES_KEY);
      problems.push(
        row === undefined || isOfList
          ? `${file.path}: ${isOfList ? `outboxes: ${outbox}.` : ''}${key}: expected ${message}`
          : describeProblem(row, given.get(row.key), message),
      );
    }
  }
  if (!result.success || problems.length > 0) throw configInvalid(problems);
  return deepFreeze({ ...settingsOf(result.data, outboxes), secretFiles: secretFilesOf(rows, given) });
}

/** Without those that are an outbox's: there may be several, so nobody shall read the ones at the top. */
function settingsOf(
  values: CompleteValues,
  outboxes: readonly OutboxSettings[],
): Omit<Settings, 'secretFiles'> {
  const isOutbox = (key: string) =>
    (OUTBOX_KEYS as readonly string[]).includes(key) && !(SHARED_KEYS as readonly string[]).includes(key);
  const rest = Object.fromEntries(Object.entries(values).filter(([key]) => !isOutbox(key)));
  return { ...(rest as Omit<Settings, 'outboxes' | 'secretFiles'>), outboxes };
}

function openConfigFile(sources: SettingSources, rows: readonly SettingRow[]): ConfigFile {
  const { env, flags, readFile, configFile } = sources;
  const flag = configFile ?? flags[CONFIG_FILE.flag];
  const path = typeof flag === 'string' ? flag : env[CONFIG_FILE.env];
  if (path === undefined || path === '') return NO_CONFIG_FILE;
  const namedBy = typeof flag === 'string' ? `--${CONFIG_FILE.flag}` : CONFIG_FILE.env;
  return readConfigFile({
    path,
    namedBy,
    knownKeys: [...rows.map(({ key }) => key), ...STRUCTURED_KEYS, OUTBOXES_KEY],
    readFile,
  });
}

function findValue(
  row: SettingRow,
  sources: SettingSources,
  file: ConfigFile,
): { given?: Given; problem?: string } {
  const { env, flags, readFile } = sources;
  const flag = flags[row.key];
  if (flag !== undefined) return { given: { where: `--${row.flag}`, raw: flag } };

  // Compose files and CI systems pass an unset variable on as an empty one.
  const value = env[row.env] || undefined;
  const path = row.envFile === undefined ? undefined : env[row.envFile] || undefined;
  if (value !== undefined && path !== undefined) {
    return { problem: `${row.env}: ${row.envFile} is set too; expected only one of them` };
  }
  if (value !== undefined) return { given: { where: row.env, raw: value } };
  if (path !== undefined) {
    try {
      const raw = withoutLineEnd(readFile(path));
      return { given: { where: `${row.envFile} (${path})`, raw, path } };
    } catch (error) {
      return {
        problem: `${row.envFile}: ${path} can't be read (${reasonOf(error)}); expected a file with the value`,
      };
    }
  }

  if (file.values.has(row.key)) {
    return { given: { where: `${file.path}: ${row.key}`, raw: file.values.get(row.key) } };
  }
  return {};
}

/** What the preset at the top says, where nobody says it. */
function addPreset(given: Map<string, Given>, rows: readonly SettingRow[]): void {
  const name = given.get('preset')?.raw;
  const preset = findPreset(name);
  for (const { key } of rows) {
    const raw = presetValue(preset, key);
    if (raw !== undefined && !given.has(key))
      given.set(key, { where: `preset ${String(name)}: ${key}`, raw });
  }
}

function secretFilesOf(
  rows: readonly SettingRow[],
  given: ReadonlyMap<string, Given>,
): Settings['secretFiles'] {
  return Object.fromEntries(
    rows.flatMap(({ key, envFile }) => {
      const path = given.get(key)?.path;
      return envFile === undefined || path === undefined ? [] : [[key, { path, namedBy: envFile }]];
    }),
  );
}

/**
 * Kubernetes puts `WALRELAY_SERVICE_HOST`, `WALRELAY_PORT=tcp://…` and more into every pod beside a Service named
 * walrelay (or walrelay-something). Nobody wrote these, so they must not stop the relay.
 */
const SERVICE_LINK =
  /_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;

function findUnknownVariables(env: SettingSources['env'], rows: readonly SettingRow[]): string[] {
  const known = [CONFIG_FILE.env, ...rows.flatMap((row) => [row.env, row.envFile ?? row.env])];
  const problems: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!name.startsWith('WALRELAY_') || value === undefined || value === '' || known.includes(name))
      continue;
    if (SERVICE_LINK.test(name) || /^(?:tcp|udp|sctp):\/\//.test(value)) continue;
    const nearest = nearestName(name, known);
    problems.push(`${name}: unknown variable${nearest === undefined ? '' : `; did you mean ${nearest}?`}`);
  }
  return problems;
}

function describeProblem(row: SettingRow, given: Given | undefined, expected: string): string {
  if (given !== undefined) {
    const shown = row.isSecret ? 'the value given (not shown) is refused' : `got ${showValue(given.raw)}`;
    return `${given.where}: ${shown}; expected ${expected}`;
  }
  if (row.default !== undefined)
    return `${row.env}: the default ${row.default} doesn't fit; expected ${expected}`;
  const otherwise = `${row.envFile === undefined ? '' : `${row.envFile}, `}--${row.flag}`;
  return `${row.env}: not set (nor ${otherwise}, ${row.key} in the file); expected ${expected}`;
}

/** On one line and not endless, whatever it is. */
function showValue(raw: unknown): string {
  const text =
    typeof raw === 'string' || typeof raw === 'number' ? JSON.stringify(raw) : `a ${typeName(raw)}`;
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

function typeName(raw: unknown): string {
  if (raw instanceof Map) return 'map';
  return Array.isArray(raw) ? 'list' : typeof raw;
}

function configInvalid(problems: readonly string[]): WalrelayError {
  const count = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
  const lines = problems.map((problem) => `  ${problem}`);
  return new WalrelayError('CONFIG_INVALID', [`${count} in the settings:`, ...lines].join('\n'), {
    facts: { problems: problems.length },
  });
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) {
    if (typeof part === 'object' && part !== null) deepFreeze(part);
  }
  return Object.freeze(value);
}
