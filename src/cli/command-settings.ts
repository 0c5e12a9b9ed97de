import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { type Command, Option } from 'commander';
import { loadSettings } from '../config/load-settings.ts';
import { settingFlags } from '../config/setting-flags.ts';
import type { SettingGroup } from '../config/setting-registry.ts';
import { type SettingKey, type Settings, settingShape } from '../config/settings.ts';

/** Adds the flags of the settings that a command uses. */
export function addSettingFlags(
  command: Command,
  groups?: readonly SettingGroup[],
  without?: readonly SettingKey[],
): void {
  for (const { flags, description, group } of settingFlags(groups, without)) {
    command.addOption(new Option(flags, description).helpGroup(group));
  }
}

/** The settings that a command has flags for: those that mean something to it. */
export function settingKeysOf(command: Command): SettingKey[] {
  const names = command.options.map((option) => option.attributeName());
  return names.filter((name): name is SettingKey => Object.hasOwn(settingShape, name));
}

/** Flags before environment before file before default. Throws CONFIG_INVALID with every problem. */
export function commandSettings(
  command: Command,
  options: { readonly needsNoDatabase?: boolean } = {},
): Settings {
  return loadSettings({
    ...options,
    env: process.env,
    flags: command.opts(),
    readFile: (path) => readFileSync(path, 'utf8'),
  });
}

/** Who this process is, for people who look at pg_stat_activity or at the lane state. */
export function holderName(): string {
  return `walrelay ${hostname()} ${process.pid}`.slice(0, 63);
}
