import { formatDurability } from '../core/durability.ts';
import { redactUrl } from './redact-url.ts';
import type { Settings } from './settings.ts';
import { formatTableName } from './table-name.ts';

/**
 * The settings as they may be logged: passwords replaced, the table as text. The URLs go under other names than the
 * settings, which the logger blanks wherever they stand: an operator wants to see the hosts.
 */
export function settingsForLog(settings: Settings): Record<string, string | number> {
  const { databaseUrl, redisUrl, redisNodes, redisSentinelPassword, durability, table, ...rest } = settings;
  return {
    database: redactUrl(databaseUrl),
    redis: redactUrl(redisUrl),
    table: formatTableName(table),
    durability: formatDurability(durability),
    ...(redisNodes.length === 0
      ? {}
      : { redisNodes: redisNodes.map(({ host, port }) => `${host}:${port}`).join(',') }),
    ...(redisSentinelPassword === 'none' ? {} : { redisSentinelSecret: '***' }),
    ...rest,
  };
}
