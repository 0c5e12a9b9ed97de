import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that Linux (32768 up) and macOS (49152 up) give to outgoing connections. A server that is
 * down for a moment must find its port again: in that range a client's socket may sit on it, and a client
 * that retries can even connect to itself there.
 */
const PORT_MIN = 15_000;
const PORT_MAX = 30_000;
const ATTEMPTS_MAX = 200;

/**
 * A loopback port nobody listens on now. Another process may take it before the caller does: start the server,
 * and on failure try again with another port.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const port = randomInt(PORT_MIN, PORT_MAX);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port between ${PORT_MIN} and ${PORT_MAX} after ${ATTEMPTS_MAX} attempts`);
}

export async function isPortFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
