import { formatDurability } from '../core/durability.ts';
import { redactUrl } from './redact-url.ts';
import type { SettingKey, Settings } from './settings.ts';
import { formatTableName } from './table-name.ts';

/**
 * A command's settings as they may be logged: passwords replaced, the table as text. The URLs go under other names than
 * the settings, which the logger blanks wherever they stand: an operator wants to see the hosts. What means nothing to
 * the command stays out.
 */
export function settingsForLog(
  settings: Settings,
  keys: readonly SettingKey[],
): Record<string, string | number> {
  const isMeant = (key: string) => !(key in settings) || keys.includes(key as SettingKey);
  return Object.fromEntries(Object.entries(loggable(settings)).filter(([key]) => isMeant(key)));
}

function loggable(settings: Settings): Record<string, string | number> {
  const {
    databaseUrl,
    redisUrl,
    redisNodes,
    redisSentinelPassword,
    durability,
    table,
    trimIgnoredGroups,
    secretFiles: _,
    ...rest
  } = settings;
  return {
    database: redactUrl(databaseUrl),
    redis: redactUrl(redisUrl),
    table: formatTableName(table),
    durability: formatDurability(durability),
    ...(redisNodes.length === 0
      ? {}
      : { redisNodes: redisNodes.map(({ host, port }) => `${host}:${port}`).join(',') }),
    trimIgnoredGroups: trimIgnoredGroups.join(',') || 'none',
    ...(redisSentinelPassword === 'none' ? {} : { redisSentinelSecret: '***' }),
    ...rest,
  };
}
