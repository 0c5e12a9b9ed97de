import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { embeddedPostgres, embeddedPostgresAt } from './embedded-postgres.ts';
import { canRun, type ServerUser } from './server-user.ts';

export type PostgresMajorVersion = 14 | 15 | 16 | 17 | 18;

export interface PostgresBinaries {
  readonly binDir: string;
  /** For people: `embedded PostgreSQL 17.10 (npm)`. */
  readonly description: string;
}

/** Of what the machine has, unless a version is asked for: the tests read statistics that older ones lack. */
const MAJOR_VERSION_MIN = 15;
const DEBIAN_ROOT = '/usr/lib/postgresql';

/** From npm first, since that version is pinned; then what the machine has; undefined when there is none. */
export function findPostgresBinaries(
  user: ServerUser | undefined,
  majorVersion?: PostgresMajorVersion,
): PostgresBinaries | undefined {
  const embedded = embeddedPostgres({ user, majorVersion });
  if (embedded !== undefined) {
    return { binDir: embedded.binDir, description: `embedded PostgreSQL ${embedded.version} (npm)` };
  }
  return installedBinDirs()
    .map((binDir) => ({ binDir, version: installedVersion(binDir) }))
    .filter(({ version }) => isWanted(version, majorVersion))
    .filter(({ binDir }) => canRun(join(binDir, 'initdb'), ['--version'], user))
    .map(({ binDir, version }) => ({ binDir, description: `PostgreSQL ${version} of this machine` }))[0];
}

/** The build whose `native` folder the caller names, as the npm packages are laid out. */
export function postgresBinariesAt(
  nativeDir: string,
  user: ServerUser | undefined,
): PostgresBinaries | undefined {
  const embedded = embeddedPostgresAt(nativeDir, user);
  if (embedded === undefined) return undefined;
  return { binDir: embedded.binDir, description: `embedded PostgreSQL ${embedded.version} (${nativeDir})` };
}

export function parsePostgresVersion(output: string): string | undefined {
  return /PostgreSQL\) (\d+(?:\.\d+)?)/.exec(output)?.[1];
}

function isWanted(version: string | undefined, majorVersion: number | undefined): version is string {
  if (version === undefined) return false;
  const major = Number.parseInt(version, 10);
  return majorVersion === undefined ? major >= MAJOR_VERSION_MIN : major === majorVersion;
}

/** PATH first, as the person has chosen it; then Debian's folders, newest first, which are not on PATH. */
function installedBinDirs(): string[] {
  const onPath = (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((dir) => join(dir, 'postgres'))
    .filter((file) => existsSync(file))
    .map((file) => join(realpathSync(file), '..'));
  const versions = existsSync(DEBIAN_ROOT) ? readdirSync(DEBIAN_ROOT) : [];
  const debian = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(DEBIAN_ROOT, version, 'bin'));
  return [...new Set([...onPath, ...debian])].filter((dir) =>
    ['postgres', 'initdb'].every((name) => existsSync(join(dir, name))),
  );
}

function installedVersion(binDir: string): string | undefined {
  const result = spawnSync(join(binDir, 'postgres'), ['--version'], { encoding: 'utf8' });
  return result.status === 0 ? parsePostgresVersion(result.stdout) : undefined;
}
