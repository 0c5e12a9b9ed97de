import type { HostPort, RedisTarget } from '../core/redis-target.ts';
import type { Settings } from './settings.ts';

const REDIS_PORT = 6379;

export function redisTarget(settings: Settings): RedisTarget {
  const { redisUrl, redisMode, redisNodes, redisSentinelMaster, redisSentinelPassword } = settings;
  const { hostname, port } = new URL(redisUrl);
  const first = { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? REDIS_PORT : Number(port) };
  return {
    url: redisUrl,
    mode: redisMode,
    seeds: [first, ...redisNodes],
    sentinelMaster: redisSentinelMaster,
    sentinelPassword: redisSentinelPassword === 'none' ? undefined : redisSentinelPassword,
  };
}

/** Reads `host:port,host:port` or `none`; undefined when a part is neither. An IPv6 address stands in brackets. */
export function parseHostPorts(text: string): readonly HostPort[] | undefined {
  if (text === 'none') return [];
  const nodes: HostPort[] = [];
  for (const part of text.split(',')) {
    const match = /^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]@/]+):(\d{1,5})$/.exec(part.trim());
    const port = Number(match?.[2] ?? 0);
    if (match === null || port < 1 || port > 65_535) return undefined;
    nodes.push({ host: (match[1] as string).replace(/^\[|\]$/g, ''), port });
  }
  return nodes;
}
