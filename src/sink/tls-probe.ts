import { connect } from 'node:tls';
import type { HostPort } from '../core/redis-target.ts';
import type { TlsOptions } from '../core/tls-options.ts';

/**
 * Why TLS to one of these hosts fails; null when it doesn't, or for another reason. ioredis says "Connection is closed"
 * when a sentinel's certificate is refused, or ours: with TLS 1.3 the server says so only after the handshake, and the
 * driver's write fails before that is read. Sends a PING and no password.
 */
export async function probeTls(
  hosts: readonly HostPort[],
  tls: TlsOptions,
  timeoutMs: number,
): Promise<Error | null> {
  const limitMs = Math.min(timeoutMs, PROBE_MS_MAX);
  const found = await Promise.all(hosts.map(async (host) => await probeOne(host, tls, limitMs)));
  return found.find((error) => error !== null) ?? null;
}

const PROBE_MS_MAX = 2000;

async function probeOne({ host, port }: HostPort, tls: TlsOptions, limitMs: number): Promise<Error | null> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port, ...tls });
    const settle = (error: Error | null) => {
      resolve(error);
      socket.destroy();
    };
    socket.setTimeout(limitMs, () => settle(null));
    socket.once('secureConnect', () => socket.write('PING\r\n'));
    socket.once('data', () => settle(null));
    socket.once('close', () => settle(null));
    socket.on('error', (error) => {
      const isOfLink = 'syscall' in error;
      // The refusal stands behind a failed write, still to be read.
      if (!isOfLink) settle(error);
    });
  });
}
