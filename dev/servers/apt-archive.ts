import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from './cache-dir.ts';

const run = promisify(execFile);

export interface AptArchive<Found> {
  /** The folder in the cache. */
  readonly name: string;
  readonly packages: readonly string[];
  /** Where to get them instead of where the machine gets its own: a file in the format deb822. */
  readonly sources?: string;
  /** Makes what was unpacked fit to run. */
  readonly prepare?: (root: string) => void;
  /** Undefined when what is wanted is not there, or does not run here. */
  readonly find: (root: string) => Found | undefined;
}

const APT_TIMEOUT_MS = 120_000;

/**
 * A server or library without root: Debian's packages, downloaded by apt and unpacked into a cache folder, never installed.
 * Undefined where there is no apt; rejects when apt is there and cannot deliver.
 */
export async function unpackFromApt<Found>(archive: AptArchive<Found>): Promise<Found | undefined> {
  const cache = cacheDir('redis');
  const unpacked = join(cache, `${archive.name}-${process.arch}`);
  const cached = archive.find(unpacked);
  if (cached !== undefined) return cached;
  if (!(await hasApt())) return undefined;

  const work = mkdtempSync(join(cache, 'download-'));
  try {
    const fresh = await downloadAndUnpack(work, archive);
    if (archive.find(fresh) === undefined) {
      throw new Error(`the ${archive.packages[0]} that apt delivers does not run here`);
    }
    publish(fresh, unpacked, archive);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return archive.find(unpacked);
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

async function downloadAndUnpack(work: string, archive: AptArchive<unknown>): Promise<string> {
  const archives = join(work, 'archives');
  const root = join(work, 'root');
  mkdirSync(archives);
  mkdirSync(root);
  try {
    if (archive.sources !== undefined) throw new Error('other sources than those of the machine');
    await download(archives, [], archive);
  } catch {
    // No package lists on this machine, as in most images, or lists so old that their files have gone.
    await download(archives, await ownAptLists(work, archive.sources), archive);
  }
  for (const file of readdirSync(archives).filter((name) => name.endsWith('.deb'))) {
    await run('dpkg', ['-x', join(archives, file), root], { timeout: APT_TIMEOUT_MS });
  }
  archive.prepare?.(root);
  return root;
}

async function download(
  into: string,
  aptOptions: readonly string[],
  { packages }: AptArchive<unknown>,
): Promise<void> {
  await run('apt-get', [...aptOptions, 'download', ...packages], { cwd: into, timeout: APT_TIMEOUT_MS });
}

/** Lists of our own: the machine's need root to be refreshed. */
async function ownAptLists(work: string, sources: string | undefined): Promise<string[]> {
  const lists = join(work, 'lists');
  const cache = join(work, 'cache');
  mkdirSync(join(lists, 'partial'), { recursive: true });
  mkdirSync(join(cache, 'archives', 'partial'), { recursive: true });
  const options = ['-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${cache}`];
  if (sources !== undefined) {
    const file = join(work, 'own.sources');
    writeFileSync(file, sources);
    options.push('-o', `Dir::Etc::sourcelist=${file}`, '-o', 'Dir::Etc::sourceparts=/dev/null');
  }
  await run('apt-get', [...options, '-qq', 'update'], { timeout: APT_TIMEOUT_MS });
  return options;
}

/** In one step, so that a parallel run sees nothing or everything. */
function publish(fresh: string, target: string, { find }: AptArchive<unknown>): void {
  try {
    renameSync(fresh, target);
  } catch (error) {
    if (find(target) !== undefined) return;
    if (!existsSync(target)) throw error;
    // What is there does not run: left by another system that shares this folder, or damaged.
    renameSync(target, `${fresh}.stale`);
    renameSync(fresh, target);
  }
}
