import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { clientConfig } from '../config/client-config.ts';
import { CONFIG_FILE, describeSettings } from '../config/describe-settings.ts';
import { loadSettings } from '../config/load-settings.ts';
import { OUTBOX_KEYS, type Settings } from '../config/settings.ts';
import { PRESET_NAMES } from '../config/presets.ts';
import { STRUCTURED_KEYS } from '../config/resolve-outboxes.ts';
import { parseTableName } from '../config/table-name.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import { type Candidate, detectOutboxes } from '../detect/detect-outboxes.ts';
import { candidateForJson, renderCandidates } from '../detect/render-candidates.ts';
import { SnapshotReader } from '../source/snapshot-reader.ts';
import { holderName } from './command-settings.ts';

/** What only means something with --detect. */
export interface DetectFlags {
  readonly detect?: true;
  readonly output?: string;
  readonly force?: true;
}

export function addDetectOptions(command: Command): void {
  command
    .optionsGroup('Tables that exist:')
    .option('--detect', 'look for outbox tables, propose a mapping, write the configuration file')
    .option('--output <path>', `where to; - for standard output (default ${FILE_NAME})`)
    .option('--force', 'overwrite the file');
}

export const DETECT_HELP = `
--detect reads the catalog and one row of each table that looks like an outbox (it shows what becomes of it, so it prints data); it
changes nothing in the database and needs no Redis. --table pins a table, --preset one of the presets. docs/presets.md tells all of it.`;

const FILE_NAME = 'walrelay.yaml';

export function requireDetect({ output, force }: DetectFlags): void {
  const flag = output !== undefined ? '--output' : force !== undefined ? '--force' : undefined;
  if (flag !== undefined)
    throw new WalrelayError('CONFIG_INVALID', `${flag} means something only with --detect`);
}

export async function initDetect(
  command: Command,
  flags: DetectFlags & { readonly json?: true },
): Promise<void> {
  const path = flags.output ?? FILE_NAME;
  requireNothingElse(command.opts());
  if (path !== '-' && flags.force !== true && existsSync(path)) {
    throw new WalrelayError('CONFIG_INVALID', `${path} is there already`, {
      hint: 'Name another file with --output, or overwrite it with --force.',
    });
  }
  const settings = readSettings(command);
  const [table, preset] = [given(command, 'table'), given(command, 'preset')];
  await using reader = await SnapshotReader.open(clientConfig(settings, holderName()), { isRaw: false });
  const { database, candidates } = await detectOutboxes(reader, {
    table: table === undefined ? null : (parseTableName(table) ?? null),
    preset: PRESET_NAMES.find((name) => name === preset) ?? null,
    further: Object.fromEntries(
      (['slot', 'publication'] as const).flatMap((key) =>
        key in command.opts() ? [[key, settings[key]]] : [],
      ),
    ),
  });
  const [best] = candidates;
  if (flags.json === true) {
    process.stdout.write(`${JSON.stringify({ database, candidates: candidates.map(candidateForJson) })}\n`);
  }
  if (best === undefined) {
    throw new WalrelayError('TABLE_MISSING', `no table of the database ${database} looks like an outbox`, {
      hint: 'Name it with --table, or make one: walrelay init --create-table.',
    });
  }
  // With --json, and where the file itself goes there, standard output is for nothing else.
  const report = flags.json === true || path === '-' ? process.stderr : process.stdout;
  if (flags.json !== true) report.write(renderCandidates(database, candidates));
  if (best.obstacle !== null) {
    throw new WalrelayError(
      'TABLE_UNSUITABLE',
      `no file was written: the table ${best.proposal.settings['table'] as string} can't be relayed, ${best.obstacle}`,
      { hint: 'Mend that, or pin another table with --table.' },
    );
  }
  writeProposal(best, path, flags);
  if (path === '-') return;
  report.write(`\nWritten to ${path}. Read it, then:\n${NEXT_STEPS.replaceAll('FILE', path)}`);
  for (const variable of overridingVariables())
    report.write(`\nwarning    ${variable} is set in the environment, and comes before the file: unset it`);
  report.write('\n');
}

const NEXT_STEPS = `  walrelay init --config FILE     publication, slot, lane state
  walrelay run --config FILE
`;

function writeProposal(
  { file }: Candidate,
  path: string,
  { force, json }: DetectFlags & { json?: true },
): void {
  if (path === '-') {
    if (json !== true) process.stdout.write(file);
    return;
  }
  try {
    writeFileSync(path, file, { flag: force === true ? 'w' : 'wx' });
  } catch (error) {
    throw new WalrelayError('CONFIG_INVALID', `${path} can't be written: ${(error as Error).message}`, {
      hint: 'Name another file with --output.',
      cause: error,
    });
  }
}

/** Redis is not asked, so it need not be named; nor need the file be there that is about to be written. */
function readSettings(command: Command): Settings {
  const { env } = process;
  const isRedisNamed = given(command, 'redisUrl') !== undefined || Boolean(env['REDIS_URL_FILE']);
  const config = env[CONFIG_FILE.env];
  return loadSettings({
    env: {
      ...env,
      ...(isRedisNamed ? {} : { REDIS_URL: 'redis://localhost' }),
      ...(config !== undefined && !existsSync(config) ? { [CONFIG_FILE.env]: '' } : {}),
    },
    flags: command.opts(),
    readFile: (file) => readFileSync(file, 'utf8'),
  });
}

/** By a flag or a variable; what a file says of the outbox is about to be found out anew. */
function given(command: Command, key: 'table' | 'preset' | 'redisUrl'): string | undefined {
  const flag: unknown = command.opts()[key];
  if (typeof flag === 'string') return flag;
  const variable = describeSettings().find((row) => row.key === key)?.env ?? '';
  return process.env[variable] || undefined;
}

/** What is to be found out can't be said as well. */
function requireNothingElse(flags: Readonly<Record<string, unknown>>): void {
  const mapping = [...OUTBOX_KEYS, ...STRUCTURED_KEYS].filter((key) => key !== 'table' && key !== 'preset');
  const refused = [...mapping, 'createTable', 'printSql', 'snapshot', 'metaKey'].find((key) => key in flags);
  if (refused === undefined) return;
  const flag = refused.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new WalrelayError('CONFIG_INVALID', `--${flag} means nothing with --detect`, {
    hint: '--detect writes a file: change it there.',
  });
}

function overridingVariables(): readonly string[] {
  const keys: readonly string[] = OUTBOX_KEYS;
  return describeSettings()
    .filter(({ key, env }) => keys.includes(key) && Boolean(process.env[env]))
    .map(({ env }) => env);
}
