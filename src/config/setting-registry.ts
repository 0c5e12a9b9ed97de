import { z } from 'zod';
import type { SettingKind } from './setting-kind.ts';

/** What is known of each setting beside its schema: where help text, README and environment get it from. */
export const SETTING_GROUPS = [
  'connections',
  'outbox',
  'columns',
  'polling',
  'clean-up',
  'trimming',
  'http and logs',
  'limits',
  'timing',
] as const;
export type SettingGroup = (typeof SETTING_GROUPS)[number];

export interface SettingMeta {
  readonly group: SettingGroup;
  readonly description: string;
  /** What applies when nobody sets it, as a person would write it. Absent: the setting is required. */
  readonly default?: string;
  /** Set only where the name is not WALRELAY_ and the key. */
  readonly env?: string;
  /** Never shown; in the environment also given as the path of a file, `<env>_FILE`. */
  readonly isSecret?: true;
  readonly accepts: string;
  readonly placeholder: string;
}

export const settingRegistry = z.registry<SettingMeta>();

type Notes = Omit<SettingMeta, 'accepts' | 'placeholder'>;

export function setting<T>(kind: SettingKind<T>, notes: Notes): z.ZodType<T> {
  const schema = notes.default === undefined ? kind.schema : kind.schema.prefault(notes.default);
  settingRegistry.add(schema, { ...notes, accepts: kind.accepts, placeholder: kind.placeholder });
  return schema;
}

/** Its default depends on another setting, so the object's transform fills it in. */
export function dependentSetting<T>(kind: SettingKind<T>, notes: Notes): z.ZodType<T | undefined> {
  const schema = kind.schema.optional();
  settingRegistry.add(schema, { ...notes, accepts: kind.accepts, placeholder: kind.placeholder });
  return schema;
}
