import type { OutboxMapping } from '../core/outbox-mapping.ts';
import { WalrelayError } from '../core/walrelay-error.ts';
import type { PresetName } from './presets.ts';
import type { OutboxSettings, SettingValues } from './settings.ts';
import { formatTableName, type TableName } from './table-name.ts';

/** Its events are the inserts into a table. */
export interface TableOutbox extends OutboxMapping {
  /** Where the rest comes from, as far as nobody says it; null: from Walrelay's own defaults. */
  readonly preset: PresetName | null;
  readonly table: TableName;
  readonly messagePrefix: null;
  /** The column that says when a row was inserted; null where there is none. */
  readonly columnTime: string | null;
  /** What becomes of its confirmed rows, and after how long. */
  readonly cleanup: SettingValues['cleanup'];
  readonly cleanupRetentionMs: number;
}

/** Its events are logical messages, and it has no table. What the mapping calls columns are keys of their JSON. */
export interface MessageOutboxSettings extends OutboxMapping {
  readonly preset: PresetName | null;
  readonly table: null;
  readonly messagePrefix: string;
  readonly columnTime: null;
  readonly cleanup: 'none';
  readonly cleanupRetentionMs: number;
}

/** Where an outbox's events come from, in a word: what it is called when nobody has named it. */
export function sourceOf({ table, messagePrefix }: Pick<OutboxSettings, 'table' | 'messagePrefix'>): string {
  return table === null ? String(messagePrefix) : formatTableName(table);
}

export function hasTable(outbox: OutboxSettings): outbox is TableOutbox {
  return outbox.table !== null;
}

/**
 * For what reads rows. `needs`: who, and what for, the beginning of a sentence. Throws CONFIG_INVALID for an outbox of messages:
 * they stand in the WAL only, and are gone with it.
 */
export function requireTable(outbox: OutboxSettings, needs: string): TableOutbox {
  if (hasTable(outbox)) return outbox;
  throw new WalrelayError(
    'CONFIG_INVALID',
    `${needs}, and ${outbox.name} is an outbox of messages: it has no table, and nothing but the slot holds its events`,
    { hint: 'See docs/messages.md for what an outbox without a table can and can’t do.' },
  );
}
