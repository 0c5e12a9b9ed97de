import { redactUrl } from './redact-url.ts';
import type { Settings } from './settings.ts';
import { formatTableName } from './table-name.ts';

/** The settings as they may be logged: passwords replaced, the table as text. */
export function settingsForLog(settings: Settings): Record<string, string | number> {
  const { databaseUrl, redisUrl, table, ...rest } = settings;
  return {
    databaseUrl: redactUrl(databaseUrl),
    redisUrl: redactUrl(redisUrl),
    table: formatTableName(table),
    ...rest,
  };
}
