import { accessSync, constants, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const REPOSITORY_ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Where servers of one kind stay once they are downloaded: in the checkout, or with the user when that is read-only. */
export function cacheDir(kind: 'redis' | 'postgres'): string {
  const userCache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  for (const dir of [join(REPOSITORY_ROOT, '.cache', kind), join(userCache, 'walrelay', kind)]) {
    try {
      mkdirSync(dir, { recursive: true });
      accessSync(dir, constants.W_OK);
      return dir;
    } catch {
      // Read-only: the next one.
    }
  }
  throw new Error(`no writable cache folder for downloaded servers (${kind}); set XDG_CACHE_HOME`);
}
