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

/** What the relay promises to work with. */
const VERSION_MIN = [6, 2] as const;

/** Since when the server has all the settings that the tests use: DEBUG for one is then allowed by a start flag. */
const MAJOR_VERSION_WITH_FLAGS = 7;

/** One that is good for every test; an older one is only started when it is asked for by name. */
export function redisOnPath(): RedisBinary | undefined {
  for (const command of ['redis-server', 'valkey-server']) {
    const product = redisProduct(command, {});
    if (product === undefined || !hasStartFlags(product)) continue;
    return { command, env: {}, product, origin: `${command} on PATH` };
  }
  return undefined;
}

/** Whether `enable-debug-command` and `shutdown-on-sigterm` are known. Takes `Redis 7.0.15`. */
export function hasStartFlags(product: string): boolean {
  return Number.parseInt(product.split(' ')[1] ?? '', 10) >= MAJOR_VERSION_WITH_FLAGS;
}

/** Runs it to see whether it runs at all; undefined too when it is too old. */
export function redisProduct(command: string, env: Record<string, string>): string | undefined {
  const result = spawnSync(command, ['--version'], { encoding: 'utf8', env: { ...process.env, ...env } });
  return result.status === 0 ? parseRedisVersion(result.stdout) : undefined;
}

export function parseRedisVersion(output: string): string | undefined {
  // Valkey 7.2 still had neither name: `Server v=7.2.14`.
  const match = /^(?:(Redis|Valkey) s|S)erver v=((\d+)\.(\d+)[\d.]*)/m.exec(output);
  if (match === null) return undefined;
  const [major, minor] = [Number(match[3]), Number(match[4])];
  const isOld = major < VERSION_MIN[0] || (major === VERSION_MIN[0] && minor < VERSION_MIN[1]);
  return isOld ? undefined : `${match[1] ?? 'Valkey'} ${match[2]}`;
}
