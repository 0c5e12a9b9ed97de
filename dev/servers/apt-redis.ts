import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { unpackFromApt } from './apt-archive.ts';
import { type RedisBinary, redisProduct } from './redis-binary.ts';

/** The server, the binary it links to, and the libraries a plain system lacks. */
const PACKAGES: readonly string[] = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1'];

/** The Redis of the machine's own distribution, without root. */
export async function aptRedis(): Promise<RedisBinary | undefined> {
  return await unpackFromApt({ name: 'apt', packages: PACKAGES, find: unpackedRedis });
}

function unpackedRedis(root: string): RedisBinary | undefined {
  const command = join(root, 'usr', 'bin', 'redis-server');
  const libDir = join(root, 'usr', 'lib');
  if (!existsSync(command) || !existsSync(libDir)) return undefined;
  // The one folder named after the platform, x86_64-linux-gnu or the like.
  const platformDirs = readdirSync(libDir).filter((name) => name.includes('-linux-'));
  const env = { LD_LIBRARY_PATH: platformDirs.map((name) => join(libDir, name)).join(':') };
  const product = redisProduct(command, env);
  return product === undefined ? undefined : { command, env, product, origin: 'unpacked from apt' };
}
