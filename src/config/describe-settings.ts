import { type SettingGroup, settingRegistry } from './setting-registry.ts';
import { type SettingKey, settingShape } from './settings.ts';

/** One setting with all of its names: for help text, the README, and for finding its value. */
export interface SettingRow {
  readonly key: SettingKey;
  readonly env: string;
  /** The variable that may hold the path of a file with the value; only secrets have one. */
  readonly envFile: string | undefined;
  readonly flag: string;
  readonly placeholder: string;
  readonly group: SettingGroup;
  readonly description: string;
  readonly accepts: string;
  /** As a person would write it; undefined when the setting is required. */
  readonly default: string | undefined;
  readonly isSecret: boolean;
}

/** The variable and the flag that name the configuration file itself. */
export const CONFIG_FILE = {
  env: 'WALRELAY_CONFIG',
  flag: 'config',
  description: 'A YAML file with settings.',
} as const;

export function describeSettings(): readonly SettingRow[] {
  return (Object.keys(settingShape) as SettingKey[]).map(describe);
}

function describe(key: SettingKey): SettingRow {
  const meta = settingRegistry.get(settingShape[key]);
  if (meta === undefined) throw new Error(`setting ${key} is not described`);
  const words = key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const env = meta.env ?? `WALRELAY_${words.replaceAll('-', '_').toUpperCase()}`;
  const isSecret = meta.isSecret ?? false;
  return {
    key,
    env,
    envFile: isSecret ? `${env}_FILE` : undefined,
    flag: words,
    placeholder: meta.placeholder,
    group: meta.group,
    description: meta.description,
    accepts: meta.accepts,
    default: meta.default,
    isSecret,
  };
}
