import { freePort } from '../../dev/servers/free-port.ts';
import { type RedisServer, startRedis } from '../../dev/servers/redis.ts';
import { callRedis } from '../../dev/servers/redis-call.ts';
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
