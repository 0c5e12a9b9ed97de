import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cachedPeer, fillPeerCache } from './peer-cache.ts';

const run = promisify(execFile);
const PACKAGE = 'pg-transactional-outbox';
/** The best first; not every registry has every version. */
const VERSIONS: readonly { readonly version: string; readonly isCurrent: boolean }[] = [
  { version: '0.6.4', isCurrent: true },
  { version: '0.5.7', isCurrent: false },
];

export interface OutboxPackage {
  readonly version: string;
  /**
   * Whether it has two later mends: it can look again for a row that the slot announced before it was visible, and
   * its polling function leaves alone the rows that its own handlers have locked.
   */
  readonly isCurrent: boolean;
  /** Holds its node_modules. */
  readonly dir: string;
}

/** Finds the package or installs it beside, not among, our own dependencies; a string says why that is not to be. */
export async function installOutboxPackage(signal: AbortSignal): Promise<OutboxPackage | string> {
  const cached = cachedOutboxPackage();
  if (cached !== undefined) return cached;
  let reason = '';
  for (const { version, isCurrent } of VERSIONS) {
    try {
      const dir = await fillPeerCache(
        cacheName(version),
        async (fresh) => await npmInstall(version, fresh, signal),
      );
      return { version, isCurrent, dir };
    } catch (error) {
      signal.throwIfAborted();
      reason = (error as { stderr?: string }).stderr?.split('\n')[0] ?? String(error);
      // Only a version that the registry lacks makes the next one worth a try.
      if (!/ETARGET|E404/.test((error as { stderr?: string }).stderr ?? '')) break;
    }
  }
  return `npm can't install ${PACKAGE}: ${reason}`;
}

export function cachedOutboxPackage(): OutboxPackage | undefined {
  for (const known of VERSIONS) {
    const dir = cachedPeer(cacheName(known.version));
    if (dir !== undefined) return { ...known, dir };
  }
  return undefined;
}

/** What the package itself offers to set a database up for polling. */
export interface DatabaseSetup {
  createPollingFunction(names: PollingNames): string;
  setupPollingIndexes(names: PollingNames): string;
}

export interface PollingNames {
  readonly outboxOrInbox: 'outbox';
  readonly database: string;
  readonly schema: string;
  readonly table: string;
  readonly listenerRole: string;
  readonly nextMessagesSchema: string;
  readonly nextMessagesName: string;
}

export function databaseSetup({ dir }: OutboxPackage): DatabaseSetup {
  const require = createRequire(join(dir, 'package.json'));
  return (require(PACKAGE) as { readonly DatabaseSetup: DatabaseSetup }).DatabaseSetup;
}

function cacheName(version: string): string {
  return `${PACKAGE}-${version}`;
}

async function npmInstall(version: string, dir: string, signal: AbortSignal): Promise<void> {
  writeFileSync(join(dir, 'package.json'), `${JSON.stringify({ private: true })}\n`);
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--save-exact', '--loglevel=error'];
  await run('npm', ['install', ...options, `${PACKAGE}@${version}`], { cwd: dir, signal });
}
