import { Redis } from 'ioredis';

/** One command on a connection of its own, as redis-cli does it. Rejects when the server is down or refuses. */
export async function callRedis(
  url: string,
  command: string,
  ...args: (string | number)[]
): Promise<unknown> {
  const redis = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    // A server that is loading, or a sentinel, answers too.
    enableReadyCheck: false,
  });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return await redis.call(command, ...args);
  } finally {
    redis.disconnect();
  }
}

/** `INFO section`, by field. */
export async function redisInfo(url: string, section: string): Promise<Record<string, string>> {
  const text = String(await callRedis(url, 'INFO', section));
  const lines = text.split('\r\n').filter((line) => line.includes(':'));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  );
}

const POLL_INTERVAL_MS = 25;

/** Waits for what the servers agree on by themselves. A server that does not answer has not agreed. */
export async function untilServers(
  what: string,
  isSo: () => Promise<boolean>,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let reason: unknown;
  for (;;) {
    try {
      if (await isSo()) return;
    } catch (error) {
      reason = error;
    }
    if (Date.now() > deadline) {
      throw new Error(`timed out after ${timeoutMs} ms waiting for ${what}`, { cause: reason });
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}
