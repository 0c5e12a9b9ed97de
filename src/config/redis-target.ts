import type { RedisTarget } from '../core/redis-target.ts';
import { currentSecret } from './current-secret.ts';
import { readTlsPlan } from './read-tls-plan.ts';
import { findRedisTlsFault, redisTls } from './redis-tls.ts';
import { unreadable } from './secret-file.ts';
import type { Settings } from './settings.ts';

const REDIS_PORT = 6379;

/**
 * Where Redis is, and how to get in now: for each connection anew, since passwords and certificates may have been
 * replaced. Throws SECRET_UNREADABLE.
 */
export function redisTarget(settings: Settings): RedisTarget {
  const { redisMode, redisNodes, redisSentinelMaster } = settings;
  const redisUrl = currentSecret(settings, 'redisUrl');
  const redisSentinelPassword = currentSecret(settings, 'redisSentinelPassword');
  const fault = findRedisTlsFault(redisUrl, settings);
  if (fault !== undefined) throw unreadable(`the new REDIS_URL doesn't fit the settings: ${fault}`);
  const plan = redisTls(redisUrl, settings);
  const { hostname, port } = new URL(redisUrl);
  const first = { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? REDIS_PORT : Number(port) };
  return {
    url: redisUrl,
    mode: redisMode,
    seeds: [first, ...redisNodes],
    sentinelMaster: redisSentinelMaster,
    sentinelPassword: redisSentinelPassword === 'none' ? undefined : redisSentinelPassword,
    tls: plan === null ? null : readTlsPlan(plan),
  };
}
