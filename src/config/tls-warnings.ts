import { postgresTls } from './postgres-tls.ts';
import type { Settings } from './settings.ts';

/** What encrypts and doesn't look whom it talks to. */
export function tlsWarnings(settings: Settings): string[] {
  const warnings: string[] = [];
  const { plan } = postgresTls(settings.databaseUrl, settings);
  if (typeof plan !== 'string' && plan.verification === 'no-verify') {
    warnings.push('sslmode=no-verify: whoever answers in the place of Postgres is believed');
  }
  if (settings.redisUrl.toLowerCase().startsWith('rediss:') && settings.redisTls === 'no-verify') {
    warnings.push('WALRELAY_REDIS_TLS=no-verify: whoever answers in the place of Redis is believed');
  }
  return warnings;
}
