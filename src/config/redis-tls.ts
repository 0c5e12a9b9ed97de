import type { SettingValues } from './settings.ts';
import type { NamedFile } from './secret-file.ts';
import { findPlanFault, type TlsPlan } from './tls-plan.ts';

type TlsSettings = Pick<SettingValues, 'redisTls' | 'redisCaFile' | 'redisCertFile' | 'redisKeyFile'>;

/** Null for redis://, which is plain text. */
export function redisTls(redisUrl: string, settings: TlsSettings): TlsPlan | null {
  // The scheme is not case-sensitive; ioredis, which reads it too, believes it is.
  if (!redisUrl.toLowerCase().startsWith('rediss:')) return null;
  const file = (path: string, namedBy: string): NamedFile | undefined =>
    path === 'none' ? undefined : { path, namedBy };
  return {
    verification: settings.redisTls,
    ca: file(settings.redisCaFile, 'WALRELAY_REDIS_CA_FILE'),
    cert: file(settings.redisCertFile, 'WALRELAY_REDIS_CERT_FILE'),
    key: file(settings.redisKeyFile, 'WALRELAY_REDIS_KEY_FILE'),
  };
}

/** What is wrong with URL and settings together. */
export function findRedisTlsFault(redisUrl: string, settings: TlsSettings): string | undefined {
  const plan = redisTls(redisUrl, settings);
  if (plan !== null) return findPlanFault(plan);
  const isAsked = [settings.redisCaFile, settings.redisCertFile, settings.redisKeyFile].some(
    (path) => path !== 'none',
  );
  return isAsked
    ? 'redis:// sends everything in plain text, and the certificates ask for rediss://'
    : undefined;
}
