import { formatDurability } from '../core/durability.ts';
import { redactUrl } from './redact-url.ts';
import { type OutboxSettings, type SettingKey, type Settings, settingShape } from './settings.ts';
import { sourceOf } from './outbox-source.ts';
import { formatTableName } from './table-name.ts';
import { trimAgeMs } from './trim-settings.ts';

/**
 * A command's settings as they may be logged: passwords replaced, the table as text. The URLs go under other names than
 * the settings, which the logger blanks wherever they stand: an operator wants to see the hosts. What means nothing to
 * the command stays out.
 */
export function settingsForLog(
  settings: Settings,
  keys: readonly SettingKey[],
): Record<string, string | number> {
  const isMeant = (key: string) => !Object.hasOwn(settingShape, key) || keys.includes(key as SettingKey);
  return Object.fromEntries(Object.entries(loggable(settings)).filter(([key]) => isMeant(key)));
}

function loggable(settings: Settings): Record<string, string | number> {
  const {
    databaseUrl,
    redisUrl,
    redisNodes,
    redisSentinelPassword,
    durability,
    outboxes,
    trimIgnoredGroups,
    trimMaxAgeMs: _age,
    secretFiles: _,
    ...rest
  } = settings;
  return {
    database: redactUrl(databaseUrl),
    redis: redactUrl(redisUrl),
    ...loggableOutboxes(outboxes),
    durability: formatDurability(durability),
    ...(redisNodes.length === 0
      ? {}
      : { redisNodes: redisNodes.map(({ host, port }) => `${host}:${port}`).join(',') }),
    trimIgnoredGroups: trimIgnoredGroups.join(',') || 'none',
    ...(redisSentinelPassword === 'none' ? {} : { redisSentinelSecret: '***' }),
    trimMaxAgeMs: trimAgeMs(settings, settings.trimMaxLength),
    ...rest,
  };
}

/** One as the flat settings that it may have come from; of several, what tells them apart. */
function loggableOutboxes(outboxes: readonly OutboxSettings[]): Record<string, string> {
  const [only, ...others] = outboxes;
  if (only === undefined || others.length > 0) {
    const list = outboxes.map((outbox) => `${outbox.name}: ${sourceText(outbox)} -> ${outbox.stream}`);
    return { outboxes: list.join(', ') };
  }
  const {
    table,
    messagePrefix,
    columnId,
    fields,
    staticFields,
    routes,
    name: _,
    place: __,
    trimMaxLength: ___,
    ...rest
  } = only;
  const columns = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, value ?? 'none']));
  const more = {
    fields: Object.keys(fields).join(','),
    staticFields: Object.keys(staticFields).join(','),
    routes: routes
      .map(({ stream, isDropped }) => (isDropped ? '(dropped)' : (stream ?? only.stream)))
      .join(','),
  };
  return {
    ...(table === null ? { messagePrefix } : { table: formatTableName(table) }),
    columnId: columnId.join(','),
    ...columns,
    ...Object.fromEntries(Object.entries(more).filter(([, names]) => names !== '')),
  };
}

function sourceText(outbox: OutboxSettings): string {
  return (outbox.table === null ? 'messages ' : '') + sourceOf(outbox);
}
