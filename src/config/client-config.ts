import type { ClientConfig } from 'pg';
import { currentSecret } from './current-secret.ts';
import { findPostgresTlsFault, postgresTls } from './postgres-tls.ts';
import { readTlsPlan } from './read-tls-plan.ts';
import { unreadable } from './secret-file.ts';
import type { Settings } from './settings.ts';

/**
 * How a connection to Postgres is made now: for each connection anew, since password and certificates may have been
 * replaced. `applicationName` is what pg_stat_activity shows. Throws SECRET_UNREADABLE.
 */
export function clientConfig(settings: Settings, applicationName: string): ClientConfig {
  const databaseUrl = currentSecret(settings, 'databaseUrl');
  const fault = findPostgresTlsFault(databaseUrl, settings);
  if (fault !== undefined) throw unreadable(`the new DATABASE_URL doesn't fit the settings: ${fault}`);
  const { plan, isBound, url } = postgresTls(databaseUrl, settings);
  return {
    connectionString: url,
    ...(plan === 'unsaid' ? {} : { ssl: plan === 'off' ? false : readTlsPlan(plan) }),
    enableChannelBinding: typeof plan !== 'string' && isBound,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
}

const CONNECT_TIMEOUT_MS = 10_000;
