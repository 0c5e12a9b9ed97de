import { z } from 'zod';
import { formatByteSize, parseByteSize } from './byte-size.ts';
import { type Durability, parseDurability } from '../core/durability.ts';
import type { HostPort } from '../core/redis-target.ts';
import { parseHostPorts } from './host-ports.ts';
import { PRESET_NAMES, type PresetName } from './presets.ts';
import { IDENTIFIER_BYTES_MAX, isIdentifier, parseTableName, type TableName } from './table-name.ts';

/**
 * The kinds of value that settings have. Each reads what a person writes, in the environment or a flag (always text)
 * or in YAML (also a number), and says in `accepts` what that is; every refusal carries these words.
 */
export interface SettingKind<T> {
  readonly schema: z.ZodType<T>;
  readonly accepts: string;
  /** Stands for the value in help text: `--slot <name>`. */
  readonly placeholder: string;
}

export function wholeNumber(range: { min: number; max: number }): SettingKind<number> {
  const accepts = `a whole number from ${range.min} to ${range.max}`;
  return kind(accepts, 'number', (raw) => within(range, readWhole(raw)));
}

/** A count, or null for `none`. */
export function countOrNone(range: { min: number; max: number }): SettingKind<number | null> {
  const accepts = `a whole number from ${range.min} to ${range.max}, or none`;
  return kind(accepts, 'number', (raw) => (raw === 'none' ? null : within(range, readWhole(raw))));
}

export function milliseconds(range: { min: number; max: number }): SettingKind<number> {
  const accepts = `milliseconds, a whole number from ${range.min} to ${range.max}`;
  return kind(accepts, 'ms', (raw) => within(range, readWhole(raw)));
}

export function byteSize(range: { min: number; max: number }): SettingKind<number> {
  const limits = `from ${formatByteSize(range.min)} to ${formatByteSize(range.max)}`;
  const accepts = `bytes, such as 1048576, 512kB or 64MiB, ${limits}`;
  return kind(accepts, 'bytes', (raw) =>
    within(range, typeof raw === 'string' ? parseByteSize(raw) : readWhole(raw)),
  );
}

export function portOrOff(): SettingKind<number | 'off'> {
  const accepts = 'a port from 0 to 65535 (0: any free one), or off';
  return kind(accepts, 'port', (raw) =>
    raw === 'off' ? 'off' : within({ min: 0, max: 65_535 }, readWhole(raw)),
  );
}

export function millisecondsOrOff(range: { min: number; max: number }): SettingKind<number | 'off'> {
  return orOff(milliseconds(range));
}

export function countOrOff(range: { min: number; max: number }): SettingKind<number | 'off'> {
  return orOff(wholeNumber(range));
}

function orOff({ schema, accepts, placeholder }: SettingKind<number>): SettingKind<number | 'off'> {
  const inWords = `${accepts}, or off`;
  return {
    schema: z.union([z.literal('off'), schema], { error: inWords }),
    accepts: inWords,
    placeholder,
  };
}

/** Names of somebody else's, with commas between them. */
export function names(): SettingKind<readonly string[]> {
  const accepts = 'a name, several with commas between them, or none';
  return kind(accepts, 'name,…', (raw) => {
    if (typeof raw !== 'string') return undefined;
    if (raw === 'none') return [];
    const list = raw.split(',').map((name) => name.trim());
    return list.every((name) => name !== '') ? list : undefined;
  });
}

export function choice<const T extends string>(options: readonly T[]): SettingKind<T> {
  const accepts = `one of ${options.join(', ')}`;
  return {
    schema: z.enum(options, { error: accepts }),
    accepts,
    placeholder: options.length > 2 ? 'name' : options.join('|'),
  };
}

export function text(
  accepts: string,
  placeholder: string,
  isValid: (text: string) => boolean,
): SettingKind<string> {
  return { schema: z.string({ error: accepts }).refine(isValid, { error: accepts }), accepts, placeholder };
}

/** A Postgres name taken literally: no quotes, no folding. */
export function identifier(): SettingKind<string> {
  return text(`a name of 1 to ${IDENTIFIER_BYTES_MAX} bytes, without quotes`, 'name', isIdentifier);
}

/** A column, or null for `none`. */
export function columnOrNone(): SettingKind<string | null> {
  const accepts = `a name of 1 to ${IDENTIFIER_BYTES_MAX} bytes, without quotes, or none`;
  return kind(accepts, 'name', (raw) => {
    if (raw === 'none') return null;
    return typeof raw === 'string' && isIdentifier(raw) ? raw : undefined;
  });
}

/** One column or several. In the file also as a list, for names with commas in them. */
export function columnList(): SettingKind<readonly string[]> {
  const accepts = `a name of 1 to ${IDENTIFIER_BYTES_MAX} bytes, without quotes; several different ones with commas between them`;
  return kind(accepts, 'name,…', (raw) => {
    const list: unknown = typeof raw === 'string' ? raw.split(',').map((name) => name.trim()) : raw;
    if (!Array.isArray(list) || list.length === 0 || new Set(list).size < list.length) return undefined;
    return list.every((name): name is string => typeof name === 'string' && isIdentifier(name))
      ? list
      : undefined;
  });
}

/** A preset, or null for `none`. */
export function presetOrNone(): SettingKind<PresetName | null> {
  const accepts = `one of ${PRESET_NAMES.join(', ')}, or none`;
  return kind(accepts, 'name', (raw) => (raw === 'none' ? null : PRESET_NAMES.find((name) => name === raw)));
}

/** What the prefix of logical messages may be; none where there are no such messages. */
export function messagePrefixOrNone(): SettingKind<string | null> {
  const accepts = `1 to ${MESSAGE_PREFIX_CHARACTERS_MAX} of letters, digits and . _ : / -, or none`;
  return kind(accepts, 'prefix', (raw) => {
    if (raw === 'none') return null;
    const isPrefix =
      typeof raw === 'string' && raw.length <= MESSAGE_PREFIX_CHARACTERS_MAX && /^[\w.:/-]+$/.test(raw);
    return isPrefix ? raw : undefined;
  });
}

const MESSAGE_PREFIX_CHARACTERS_MAX = 64;

export function tableName(): SettingKind<TableName> {
  const accepts = 'schema.table, or table; a part with other than a-z, 0-9 and _ in double quotes';
  return kind(accepts, 'schema.table', (raw) => (typeof raw === 'string' ? parseTableName(raw) : undefined));
}

export function durability(): SettingKind<Durability> {
  const accepts = 'reply, fsync, or replicas:N with the number of replicas';
  return kind(accepts, 'level', (raw) => (typeof raw === 'string' ? parseDurability(raw) : undefined));
}

export function hostPorts(): SettingKind<readonly HostPort[]> {
  const accepts = 'host:port, several with commas between them, or none';
  return kind(accepts, 'host:port,…', (raw) => (typeof raw === 'string' ? parseHostPorts(raw) : undefined));
}

export function path(): SettingKind<string> {
  return text('the path of a file, or none', 'path', (given) => given !== '' && !given.includes('\0'));
}

/** Text with `${column}` placeholders. Whether the columns exist is for the guards to find out. */
export function streamTemplate(): SettingKind<string> {
  const accepts = 'a stream name, with ${column} for the value of a column';
  return text(accepts, 'template', (template) => {
    const literal = template.replaceAll(/\$\{[^${}]+\}/g, '');
    return template !== '' && !literal.includes('${');
  });
}

function kind<T>(
  accepts: string,
  placeholder: string,
  read: (raw: unknown) => T | undefined,
): SettingKind<T> {
  const schema = z.unknown().transform((raw, context) => {
    const value = read(raw);
    if (value !== undefined) return value;
    context.addIssue({ code: 'custom', message: accepts });
    return z.NEVER;
  });
  return { schema, accepts, placeholder };
}

function readWhole(raw: unknown): number | undefined {
  if (typeof raw === 'number') return Number.isSafeInteger(raw) ? raw : undefined;
  // Number('') and Number(' ') are 0, Number('0x10') is 16: an operator means none of these.
  return typeof raw === 'string' && /^\d{1,15}$/.test(raw) ? Number(raw) : undefined;
}

function within(range: { min: number; max: number }, value: number | undefined): number | undefined {
  return value !== undefined && value >= range.min && value <= range.max ? value : undefined;
}
