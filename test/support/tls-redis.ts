import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, isPortFree } from '../../dev/servers/free-port.ts';
import { openGuardedDir } from '../../dev/servers/guarded-dir.ts';
import { findRedis, type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { callRedis } from '../../dev/servers/redis-call.ts';
import { ServerProcess } from '../../dev/servers/server-process.ts';
import type { CertificateFiles, Certificates } from './certificates.ts';

export interface TlsRedis {
  readonly server: RedisServer;
  readonly tlsPort: number;
  /** rediss://, with the password. */
  readonly url: string;
}

/** A Redis that speaks plain text on one port, for the test itself, and TLS on another. */
export async function startTlsRedis(certificates: Certificates, ...args: string[]): Promise<TlsRedis> {
  const tlsPort = await freePort();
  const server = await startRedis({ args: [...redisTlsArgs(certificates, tlsPort), ...args] });
  return { server, tlsPort, url: tlsUrl(server.url, tlsPort) };
}

/** A certificate for 127.0.0.1, and no wish for one from clients. */
export function redisTlsArgs(certificates: Certificates, tlsPort: number): string[] {
  const { cert, key } = certificates.issue(`redis-${tlsPort}`, { name: '127.0.0.1' });
  const settings = {
    'tls-port': String(tlsPort),
    'tls-cert-file': cert,
    'tls-key-file': key,
    'tls-ca-cert-file': certificates.ca,
    'tls-auth-clients': 'no',
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

export function tlsUrl(url: string, tlsPort: number): string {
  const changed = new URL(url.replace('redis://', 'rediss://'));
  changed.port = String(tlsPort);
  return changed.href;
}

/** From the next connection on. */
export async function serveRedis(server: RedisServer, { cert, key }: CertificateFiles): Promise<void> {
  await callRedis(server.url, 'CONFIG', 'SET', 'tls-cert-file', cert, 'tls-key-file', key);
}

/** A sentinel that speaks TLS and nothing else, to its clients and to the master. */
export async function startTlsSentinel(
  certificates: Certificates,
  { server, tlsPort }: TlsRedis,
): Promise<TlsSentinel> {
  const { command, env, product } = await findRedis();
  const dir = openGuardedDir({ prefix: 'walrelay-tls-sentinel-', endSignal: 'KILL' });
  const port = await freePort();
  const conf = join(dir.path, 'sentinel.conf');
  const tls = redisTlsArgs(certificates, port);
  const lines = Array.from(
    { length: tls.length / 2 },
    (_, index) => `${tls[2 * index]?.slice(2)} ${tls[2 * index + 1]}`,
  );
  writeFileSync(
    conf,
    [
      'port 0',
      'bind 127.0.0.1',
      ...lines,
      'tls-replication yes',
      `requirepass ${server.password}`,
      `sentinel monitor mymaster 127.0.0.1 ${tlsPort} 1`,
      `sentinel auth-pass mymaster ${server.password}`,
      '',
    ].join('\n'),
  );
  const sentinel = new ServerProcess({
    name: `${product} as sentinel`,
    command,
    args: [conf, '--sentinel'],
    dir,
    logFile: join(dir.path, 'sentinel.log'),
    env,
  });
  const dispose = async (): Promise<void> => {
    await sentinel.kill();
    await dir.remove();
  };
  // Whether it listens; what it says, the relay asks.
  await sentinel.start(async () => !(await isPortFree(port)));
  return { address: `127.0.0.1:${port}`, [Symbol.asyncDispose]: dispose };
}

export interface TlsSentinel extends AsyncDisposable {
  readonly address: string;
}
