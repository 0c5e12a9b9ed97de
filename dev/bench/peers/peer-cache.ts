import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statfsSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const CACHE = fileURLToPath(new URL('../../../.cache/peers', import.meta.url));
/** Of a run that was killed while it downloaded. Younger ones may be another run's. */
const ABANDONED_AFTER_MS = 3_600_000;

/** Downloads of peers, kept in the checkout: `.cache/peers/<name>`, where a name says its version. */
export function cachedPeer(name: string): string | undefined {
  const path = join(CACHE, name);
  return existsSync(path) ? path : undefined;
}

/** What is cached under the name; else what `fill` puts into an empty directory, kept only when it succeeds. */
export async function fillPeerCache(name: string, fill: (dir: string) => Promise<void>): Promise<string> {
  const cached = cachedPeer(name);
  if (cached !== undefined) return cached;
  mkdirSync(CACHE, { recursive: true });
  removeAbandoned(name);
  const target = join(CACHE, name);
  const partial = mkdtempSync(`${target}.partial-`);
  try {
    await fill(partial);
    try {
      renameSync(partial, target);
    } catch (error) {
      // A parallel run was quicker.
      if (!existsSync(target)) throw error;
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
  return target;
}

export function peerCacheFreeBytes(): number {
  mkdirSync(CACHE, { recursive: true });
  const { bavail, bsize } = statfsSync(CACHE);
  return bavail * bsize;
}

function removeAbandoned(name: string): void {
  for (const entry of readdirSync(CACHE).filter((found) => found.startsWith(`${name}.partial-`))) {
    const path = join(CACHE, entry);
    if (Date.now() - statSync(path).mtimeMs > ABANDONED_AFTER_MS)
      rmSync(path, { recursive: true, force: true });
  }
}
