import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serverUser } from '../../../dev/servers/server-user.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

export const rows: readonly Row[] = [
  {
    id: 'N6',
    fault: 'TLS: server without it, expired certificate, another host’s, an unknown authority',
    must: 'REFUSE',
    impossible: () =>
      spawnSync('openssl', ['version']).status === 0 ? null : 'no openssl to make certificates with',
    runs: 1,
    async run(context) {
      const dir = mkdtempSync(join(tmpdir(), 'walrelay-tls-'));
      context.defer(async () => rmSync(dir, { recursive: true }));
      const certificates = new Certificates(dir);
      const postgres = await context.startPostgres();
      const scene = await context.openScene({ postgres });
      const plain = { DATABASE_URL: verified(scene, certificates.ca) };
      context.fault('a server without TLS');
      await scene.expectRefusal(['PG_TLS'], plain);
      for (const [what, files] of [
        ['an expired certificate', certificates.issue('expired', { days: -1, name: 'IP:127.0.0.1' })],
        ['a certificate of another host', certificates.issue('other', { days: 1, name: 'DNS:db.example' })],
      ] as const) {
        context.fault(what);
        await serve(scene, files);
        await scene.expectRefusal(['PG_TLS'], plain);
      }
      const good = certificates.issue('good', { days: 1, name: 'IP:127.0.0.1' });
      await serve(scene, good);
      context.fault('an authority that nobody has named');
      const unknown = new URL(scene.links.postgres.url(scene.outbox.databaseUrl));
      unknown.searchParams.set('sslmode', 'verify-full');
      await scene.expectRefusal(['PG_TLS'], { DATABASE_URL: unknown.href });

      const daemon = await scene.startStreaming(plain);
      const [encrypted] = await scene.outbox.query<{ count: number }>(
        'SELECT count(*)::int FROM pg_stat_replication JOIN pg_stat_ssl USING (pid) WHERE ssl',
      );
      if (encrypted?.count !== 1)
        throw new Error('with the right certificate the stream should be encrypted');
      await scene.deliverCanary();
      await scene.settle(daemon);
    },
  },
];

interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

function verified(scene: Scene, ca: string): string {
  const url = new URL(scene.links.postgres.url(scene.outbox.databaseUrl));
  url.searchParams.set('sslmode', 'verify-full');
  url.searchParams.set('sslrootcert', ca);
  return url.href;
}

/** From the next connection on. */
async function serve(scene: Scene, { cert, key }: CertificateFiles): Promise<void> {
  for (const setting of [`ssl_cert_file = '${cert}'`, `ssl_key_file = '${key}'`, 'ssl = on'])
    await scene.outbox.query(`ALTER SYSTEM SET ${setting}`);
  await scene.outbox.query('SELECT pg_reload_conf()');
}

/** An authority of the run's own, and what it signs. */
class Certificates {
  readonly ca: string;
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
    chmodSync(dir, 0o755);
    this.ca = join(dir, 'ca.crt');
    const subject = ['-subj', '/CN=Walrelay campaign'];
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...subject, ...out(dir, 'ca'));
    chmodSync(this.ca, 0o644);
  }

  /** `name` as in a subjectAltName; a negative number of days has expired. */
  issue(file: string, options: { readonly days: number; readonly name: string }): CertificateFiles {
    const [cert, key] = [join(this.#dir, `${file}.crt`), join(this.#dir, `${file}.key`)];
    const [request, names] = [join(this.#dir, `${file}.csr`), join(this.#dir, `${file}.ext`)];
    writeFileSync(names, `subjectAltName=${options.name}\n`);
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', `/CN=${file}`, '-out', request, '-keyout', key);
    const authority = ['-CA', this.ca, '-CAkey', join(this.#dir, 'ca.key'), '-CAcreateserial'];
    const days = ['-days', String(options.days)];
    openssl('x509', '-req', '-in', request, '-out', cert, '-extfile', names, ...days, ...authority);
    chmodSync(key, 0o600);
    chmodSync(cert, 0o644);
    const user = serverUser();
    if (user !== undefined) chownSync(key, user.uid, user.gid);
    return { cert, key };
  }
}

function out(dir: string, file: string): string[] {
  return ['-out', join(dir, `${file}.crt`), '-keyout', join(dir, `${file}.key`)];
}

function openssl(...args: string[]): void {
  const result = spawnSync('openssl', args, { encoding: 'utf8' });
  if (result.status !== 0) throw new Error(`openssl ${args[0]} failed: ${result.stderr}`);
}
