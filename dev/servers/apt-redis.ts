import { execFile } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type RedisBinary, redisProduct } from './redis-binary.ts';

const run = promisify(execFile);

/** The server, the binary it links to, and the libraries a plain system lacks. */
const PACKAGES: readonly string[] = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1'];
const REPOSITORY_ROOT = fileURLToPath(new URL('../..', import.meta.url));
const APT_TIMEOUT_MS = 120_000;

/**
 * Redis without root: Debian's packages, downloaded by apt and unpacked into a cache folder, never installed.
 * Undefined where there is no apt; rejects when apt is there and cannot deliver.
 */
export async function aptRedis(): Promise<RedisBinary | undefined> {
  const cache = cacheDir();
  const unpacked = join(cache, `apt-${process.arch}`);
  const cached = unpackedRedis(unpacked);
  if (cached !== undefined) return cached;
  if (!(await hasApt())) return undefined;

  const work = mkdtempSync(join(cache, 'download-'));
  try {
    const fresh = await downloadAndUnpack(work);
    if (unpackedRedis(fresh) === undefined)
      throw new Error('the redis-server that apt delivers does not run here');
    publish(fresh, unpacked);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return unpackedRedis(unpacked);
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

async function hasApt(): Promise<boolean> {
  try {
    await run('apt-get', ['--version']);
    await run('dpkg', ['--version']);
    return true;
  } catch {
    return false;
  }
}

async function downloadAndUnpack(work: string): Promise<string> {
  const archives = join(work, 'archives');
  const root = join(work, 'root');
  mkdirSync(archives);
  mkdirSync(root);
  try {
    await download(archives, []);
  } catch {
    // No package lists on this machine, as in most images, or lists so old that their files have gone.
    await download(archives, await ownAptLists(work));
  }
  for (const archive of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
    await run('dpkg', ['-x', join(archives, archive), root], { timeout: APT_TIMEOUT_MS });
  }
  return root;
}

async function download(into: string, aptOptions: readonly string[]): Promise<void> {
  await run('apt-get', [...aptOptions, 'download', ...PACKAGES], { cwd: into, timeout: APT_TIMEOUT_MS });
}

/** Lists of our own: the machine's need root to be refreshed. */
async function ownAptLists(work: string): Promise<string[]> {
  const lists = join(work, 'lists');
  const cache = join(work, 'cache');
  mkdirSync(join(lists, 'partial'), { recursive: true });
  mkdirSync(join(cache, 'archives', 'partial'), { recursive: true });
  const options = ['-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${cache}`];
  await run('apt-get', [...options, '-qq', 'update'], { timeout: APT_TIMEOUT_MS });
  return options;
}

/** In one step, so that a parallel run sees nothing or everything. */
function publish(fresh: string, target: string): void {
  try {
    renameSync(fresh, target);
  } catch (error) {
    if (unpackedRedis(target) !== undefined) return;
    if (!existsSync(target)) throw error;
    // What is there does not run: left by another system that shares this folder, or damaged.
    renameSync(target, `${fresh}.stale`);
    renameSync(fresh, target);
  }
}

function cacheDir(): string {
  const userCache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  for (const dir of [join(REPOSITORY_ROOT, '.cache', 'redis'), join(userCache, 'walrelay', 'redis')]) {
    try {
      mkdirSync(dir, { recursive: true });
      accessSync(dir, constants.W_OK);
      return dir;
    } catch {
      // Read-only: the next one.
    }
  }
  throw new Error('no writable cache folder for Redis; set XDG_CACHE_HOME');
}
