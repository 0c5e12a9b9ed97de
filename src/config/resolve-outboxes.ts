import type { z } from 'zod';
import type { OutboxPlace } from '../core/outbox-mapping.ts';
import { nearestName } from './nearest-name.ts';
import { findPreset, type Preset, presetValue } from './presets.ts';
import {
  OUTBOX_KEYS,
  type OutboxKey,
  type OutboxSettings,
  type SettingValues,
  settingShape,
} from './settings.ts';
import {
  STRUCTURED_DEFAULTS,
  type StructuredKey,
  structuredShape,
  type StructuredValues,
} from './structured-settings.ts';
import { sourceOf, type MessageOutboxSettings, type TableOutbox } from './outbox-source.ts';

/** Keys that stand in the file only: beside the settings at its top, and in the items of `outboxes`. */
export const STRUCTURED_KEYS = Object.keys(structuredShape) as StructuredKey[];
export const OUTBOXES_KEY = 'outboxes';
const NAME_KEY = 'name';

export interface OutboxSources {
  /** What somebody gave for the flat settings, wherever it came from. */
  readonly flat: (key: OutboxKey) => unknown;
  /** What the file holds, by its keys. */
  readonly file: { readonly path: string; readonly values: ReadonlyMap<string, unknown> };
  /** Shows a refused value in a problem, on one line. */
  readonly show: (raw: unknown) => string;
}

/**
 * The outboxes that the settings describe: the one of the flat settings, or, where the file has a list, one for each of its
 * items, which inherit what they do not say. Reports every problem with its place; those of the flat settings themselves are
 * for whoever reads these.
 */
export function resolveOutboxes(sources: OutboxSources): {
  readonly outboxes: readonly OutboxSettings[];
  readonly problems: readonly string[];
} {
  const { file } = sources;
  const problems: string[] = [];
  const top = new OutboxReader(sources, `${file.path}: `, file.values, problems);
  if (!file.values.has(OUTBOXES_KEY)) {
    const outbox = top.read(null, null);
    return { outboxes: outbox === null ? [] : [outbox], problems };
  }
  const list = file.values.get(OUTBOXES_KEY);
  if (!Array.isArray(list) || list.length === 0) {
    problems.push(
      `${file.path}: ${OUTBOXES_KEY}: expected a list of at least one outbox, each a map of settings`,
    );
    return { outboxes: [], problems };
  }
  const outboxes: OutboxSettings[] = [];
  const taken = new Map<string, string>();
  list.forEach((item: unknown, index) => {
    const itemPlace: OutboxPlace = { file: file.path, item: `${OUTBOXES_KEY}[${index}]` };
    const place = `${file.path}: ${itemPlace.item}`;
    if (!(item instanceof Map)) {
      problems.push(`${place}: expected a map of settings, as "table: public.outbox"`);
      return;
    }
    const values = new Map([...item].map(([key, value]): [string, unknown] => [String(key), value]));
    const outbox = new OutboxReader(sources, `${place}.`, values, problems).read(top, itemPlace);
    if (outbox === null) return;
    outboxes.push(outbox);
    const source = sourceOf(outbox);
    for (const [what, text] of [
      [outbox.table === null ? 'messagePrefix' : 'table', source],
      ['name', outbox.name],
    ] as const) {
      const earlier = taken.get(`${what} ${text}`);
      if (earlier === undefined) taken.set(`${what} ${text}`, place);
      else if (what !== 'name' || outbox.name !== source)
        problems.push(
          `${place}.${what}: ${text} is that of ${earlier.slice(file.path.length + 2)} too; expected another one`,
        );
    }
  });
  return { outboxes, problems };
}

/** Reads the settings of one outbox from where they stand. */
class OutboxReader {
  readonly #sources: OutboxSources;
  readonly #prefix: string;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #problems: string[];

  constructor(
    sources: OutboxSources,
    prefix: string,
    values: ReadonlyMap<string, unknown>,
    problems: string[],
  ) {
    this.#sources = sources;
    this.#prefix = prefix;
    this.#values = values;
    this.#problems = problems;
  }

  /** `top`: what an item inherits from; null for the top itself. Null when something about it was refused. */
  read(top: OutboxReader | null, place: OutboxPlace | null): OutboxSettings | null {
    const before = this.#problems.length;
    if (top !== null) this.#refuseUnknown();
    const flat = {} as Record<OutboxKey, unknown>;
    let isWhole = true;
    for (const key of OUTBOX_KEYS) {
      const result = this.#flat(key, top);
      if (result === null) isWhole = false;
      else flat[key] = result.value;
    }
    const structured: Partial<Record<StructuredKey, unknown>> = {};
    for (const key of STRUCTURED_KEYS) {
      const value = this.#structured(key, top);
      if (value === null) isWhole = false;
      else structured[key] = value;
    }
    if (!isWhole) return null;
    const values = { ...(flat as Pick<SettingValues, OutboxKey>), ...(structured as StructuredValues) };
    const both = Object.keys(values.fields).filter((field) => Object.hasOwn(values.staticFields, field));
    if (both.length > 0) {
      this.#problems.push(
        `${this.#prefix}staticFields: ${both.join(', ')} is one of fields too; expected each field once`,
      );
    }
    const name = top === null ? undefined : this.#name();
    const source = this.#source(values, top);
    if (this.#problems.length > before) return null;
    return { ...values, ...source, name: name ?? sourceOf(source), place };
  }

  /** A table or messages: what an item says itself counts before what it inherits. */
  #source(values: SourceValues, top: OutboxReader | null): OutboxSource {
    const { table, messagePrefix, columnTime, cleanup } = values;
    const says = (key: OutboxKey) =>
      top === null
        ? this.#sources.flat(key) !== undefined
        : (this.#values.get(key) ?? undefined) !== undefined;
    const hasTable = says('table');
    const hasMessages = says('messagePrefix') && messagePrefix !== null;
    if (hasTable && hasMessages)
      this.#problems.push(
        `${this.#prefix}messagePrefix: there is a table too; expected one of them, since an outbox has either`,
      );
    const isTable = messagePrefix === null || (hasTable && !hasMessages);
    if (top !== null && !isTable && says('cleanup') && cleanup !== 'none')
      this.#problems.push(`${this.#prefix}cleanup: there is no table; expected none`);
    return isTable
      ? { table, messagePrefix: null, columnTime, cleanup }
      : { table: null, messagePrefix, columnTime: null, cleanup: 'none' };
  }

  #refuseUnknown(): void {
    const known = [NAME_KEY, ...OUTBOX_KEYS, ...STRUCTURED_KEYS];
    for (const key of this.#values.keys()) {
      if (known.includes(key)) continue;
      const nearest = nearestName(key, known);
      const shown = /^[\w.-]{1,64}$/.test(key) ? `${this.#prefix}${key}` : this.#prefix.slice(0, -1);
      this.#problems.push(
        `${shown}: unknown key${nearest === undefined ? '' : `; did you mean ${nearest}?`}`,
      );
    }
  }

  #name(): string | undefined {
    const raw = this.#values.get(NAME_KEY) ?? undefined;
    if (raw === undefined) return undefined;
    if (typeof raw === 'string' && /^[\p{L}\p{N}_.-]{1,64}$/u.test(raw)) return raw;
    this.#refuse(NAME_KEY, raw, 'a name of 1 to 64 letters, digits, _, . and -');
    return undefined;
  }

  #flat(key: OutboxKey, top: OutboxReader | null): { readonly value: unknown } | null {
    const own = top === null ? undefined : (this.#values.get(key) ?? undefined);
    const result = settingShape[key].safeParse(
      own ?? this.#inherited(key, top, () => this.#sources.flat(key)),
    );
    if (result.success) return { value: result.data };
    // What is inherited is reported where it stands.
    if (own !== undefined) this.#refuse(key, own, messageOf(result.error));
    return null;
  }

  /**
   * What holds for an outbox that does not say it. An item's own preset comes before what it inherits: that was said of
   * another table. `above`: what stands at the top.
   */
  #inherited(key: OutboxKey | StructuredKey, top: OutboxReader | null, above: () => unknown): unknown {
    const said = top === null ? undefined : this.#values.get('preset');
    if (said !== undefined && said !== null) return presetValue(findPreset(said), key) ?? above();
    return above() ?? presetValue(this.#topPreset(), key);
  }

  #topPreset(): Preset | undefined {
    return findPreset(this.#sources.flat('preset'));
  }

  #structured(key: StructuredKey, top: OutboxReader | null): StructuredValues[StructuredKey] | null {
    const own = this.#values.get(key) ?? undefined;
    const raw =
      own ??
      this.#inherited(key, top, () => (top === null ? undefined : (top.#values.get(key) ?? undefined)));
    if (raw === undefined) return STRUCTURED_DEFAULTS[key];
    const result = structuredShape[key].schema.safeParse(raw);
    if (result.success) return result.data;
    if (own !== undefined) {
      for (const issue of result.error.issues) this.#refuse(key, own, issue.message);
    } else if (top !== null) {
      // Each item inherits it; it is reported once.
      top.#refuseOnce(key, raw, messageOf(result.error));
    }
    return null;
  }

  #refuse(key: string, raw: unknown, expected: string): void {
    this.#problems.push(`${this.#prefix}${key}: got ${this.#sources.show(raw)}; expected ${expected}`);
  }

  #refuseOnce(key: string, raw: unknown, expected: string): void {
    const problem = `${this.#prefix}${key}: got ${this.#sources.show(raw)}; expected ${expected}`;
    if (!this.#problems.includes(problem)) this.#problems.push(problem);
  }
}

type SourceValues = Pick<SettingValues, 'table' | 'messagePrefix' | 'columnTime' | 'cleanup'>;
type OutboxSource =
  | Pick<TableOutbox, 'table' | 'messagePrefix' | 'columnTime' | 'cleanup'>
  | Pick<MessageOutboxSettings, 'table' | 'messagePrefix' | 'columnTime' | 'cleanup'>;

function messageOf(error: z.ZodError): string {
  return error.issues[0]?.message ?? 'something else';
}
