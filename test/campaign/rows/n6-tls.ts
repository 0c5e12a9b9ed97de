import { type CertificateFiles, Certificates } from '../../support/certificates.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

export const rows: readonly Row[] = [
  {
    id: 'N6',
    fault: 'TLS: server without it, expired certificate, another host’s, an unknown authority',
    must: 'REFUSE',
    runs: 1,
    async run(context) {
      const certificates = new Certificates('Walrelay campaign');
      context.defer(async () => certificates[Symbol.dispose]());
      const postgres = await context.startPostgres();
      const scene = await context.openScene({ postgres });
      const plain = { DATABASE_URL: verified(scene, certificates.ca) };
      context.fault('a server without TLS');
      await scene.expectRefusal(['PG_TLS'], plain);
      for (const [what, files] of [
        [
          'an expired certificate',
          certificates.issue('expired', { name: '127.0.0.1', validFromMs: -2 * DAY_MS, validToMs: -DAY_MS }),
        ],
        ['a certificate of another host', certificates.issue('other', { name: 'db.example' })],
      ] as const) {
        context.fault(what);
        await serve(scene, files);
        await scene.expectRefusal(['PG_TLS'], plain);
      }
      const good = certificates.issue('good', { name: '127.0.0.1' });
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
