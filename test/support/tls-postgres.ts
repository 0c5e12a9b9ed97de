import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PostgresServer, startPostgres } from '../../dev/servers/postgres.ts';
import type { CertificateFiles, Certificates } from './certificates.ts';
import { runSql } from './run-sql.ts';

const LOCAL_NAME = '127.0.0.1';

/** A Postgres with a certificate for 127.0.0.1. */
export async function startTlsPostgres(certificates: Certificates): Promise<PostgresServer> {
  const { cert, key } = certificates.issue('postgres', { name: LOCAL_NAME });
  return startPostgres({
    settings: { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key, ssl_ca_file: certificates.ca },
  });
}

/** From the next connection on. */
export async function servePostgres(server: PostgresServer, { cert, key }: CertificateFiles): Promise<void> {
  server.configure({ ssl_cert_file: cert, ssl_key_file: key });
  await reload(server);
}

/** Lines in front of those that let everybody in. */
export async function letIn(server: PostgresServer, ...lines: string[]): Promise<void> {
  const file = join(server.dataDir, 'pg_hba.conf');
  writeFileSync(file, [...lines, readFileSync(file, 'utf8')].join('\n'));
  await reload(server);
}

/** These lines and nothing else, but for the superuser of the test itself. */
export async function letInOnly(server: PostgresServer, ...lines: string[]): Promise<void> {
  const all = [...lines, 'host all postgres 127.0.0.1/32 scram-sha-256', ''];
  writeFileSync(join(server.dataDir, 'pg_hba.conf'), all.join('\n'));
  await reload(server);
}

async function reload(server: PostgresServer): Promise<void> {
  await runSql(server.url, 'SELECT pg_reload_conf()');
}
