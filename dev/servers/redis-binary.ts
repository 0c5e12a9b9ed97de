import { spawnSync } from 'node:child_process';

export interface RedisBinary {
  readonly command: string;
  /** What the dynamic linker needs when the server is unpacked rather than installed. */
  readonly env: Record<string, string>;
  /** `Redis 7.0.15` or `Valkey 8.0.1`. */
  readonly product: string;
  /** `redis-server on PATH`, for people. */
  readonly origin: string;
}

/** Scripts, streams and start flags that we use are all there since Redis 7.0, from which Valkey was forked. */
const MAJOR_VERSION_MIN = 7;

export function redisOnPath(): RedisBinary | undefined {
  for (const command of ['redis-server', 'valkey-server']) {
    const product = redisProduct(command, {});
    if (product !== undefined) return { command, env: {}, product, origin: `${command} on PATH` };
  }
  return undefined;
}

/** Runs it to see whether it runs at all; undefined too when it is too old. */
export function redisProduct(command: string, env: Record<string, string>): string | undefined {
  const result = spawnSync(command, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } });
  return result.status === 0 ? parseRedisVersion(result.stdout) : undefined;
}

export function parseRedisVersion(output: string): string | undefined {
  const match = /^(Redis|Valkey) server v=((\d+)[\d.]*)/m.exec(output);
  if (match === null || Number(match[3]) < MAJOR_VERSION_MIN) return undefined;
  return `${match[1]} ${match[2]}`;
}
