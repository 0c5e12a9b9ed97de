import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DemoPlace } from './demo-place.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const REMOVED = 'removed';

/**
 * The shell blocks on a pipe of which this process holds the only other end. When the kernel closes it before we
 * have said that all is removed, we were killed: the shell becomes `demo --remove` and does it for us.
 */
const WATCHER = `
trap '' INT TERM HUP QUIT
said=$(cat)
[ "$said" = ${REMOVED} ] || exec "$@"
`;

export interface TracesGuard {
  /** Everything was removed: nothing is left for the guard to do. */
  dismiss(): void;
}

export function guardTraces(place: DemoPlace): TracesGuard {
  if (place.name === null) return { dismiss: () => undefined };
  const command = [process.execPath, ...process.execArgv, MAIN, '--remove', place.name];
  const watcher = spawn('/bin/sh', ['-c', WATCHER, 'walrelay-demo-watcher', ...command], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    // By environment: arguments are for everybody on this machine to see.
    env: { ...process.env, DATABASE_URL: place.databaseUrl, REDIS_URL: place.redisUrl },
  });
  watcher.stdin.on('error', () => undefined);
  watcher.unref();
  return { dismiss: () => watcher.stdin.end(REMOVED) };
}
