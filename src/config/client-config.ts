import type { ClientConfig } from 'pg';
import type { Settings } from './settings.ts';

/** How every connection to Postgres is made. `applicationName` is what pg_stat_activity shows. */
export function clientConfig(settings: Settings, applicationName: string): ClientConfig {
  return {
    connectionString: settings.databaseUrl,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
  };
}

const CONNECT_TIMEOUT_MS = 10_000;
