import { CONFIG_FILE, describeSettings } from './describe-settings.ts';
import { SETTING_GROUPS, type SettingGroup } from './setting-registry.ts';
import type { SettingKey } from './settings.ts';

/** What commander's `option()` needs. Neither sets a default: loadSettings must see what was given and what was not. */
export interface SettingFlag {
  /** `--batch-events-max <number>`; commander turns it back into the setting's key. */
  readonly flags: string;
  readonly description: string;
  /** The heading in help text under which it belongs. */
  readonly group: string;
}

/**
 * The options of a command, `--config` first, then the settings of the groups it uses (all, if not told), without those
 * in them that mean nothing to it.
 */
export function settingFlags(
  groups: readonly SettingGroup[] = SETTING_GROUPS,
  without: readonly SettingKey[] = [],
): readonly SettingFlag[] {
  const config: SettingFlag = {
    flags: `--${CONFIG_FILE.flag} <path>`,
    description: `${CONFIG_FILE.description} [env ${CONFIG_FILE.env}]`,
    group: heading('connections'),
  };
  const rows = describeSettings().filter((row) => groups.includes(row.group) && !without.includes(row.key));
  const flags = rows.map((row): SettingFlag => {
    const env = row.envFile === undefined ? row.env : `${row.env} or ${row.envFile}`;
    const otherwise = row.default === undefined ? 'required' : `default ${row.default}`;
    return {
      flags: `--${row.flag} <${row.placeholder}>`,
      description: `${row.description} [env ${env}; ${otherwise}]`,
      group: heading(row.group),
    };
  });
  return [config, ...flags];
}

function heading(group: SettingGroup): string {
  return `Settings, ${group}:`;
}
