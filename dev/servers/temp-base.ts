import { tmpdir } from 'node:os';
import { canRun, type ServerUser } from './server-user.ts';

/** The temporary folder, unless it lies below one that the borrowed user cannot enter, such as root's home. */
export function tempBase(user: ServerUser | undefined): string {
  const bases = [tmpdir(), '/tmp', '/var/tmp'];
  const reachable = bases.find((base) => canRun('/bin/sh', ['-c', 'test -x "$1"', 'sh', base], user));
  if (reachable === undefined)
    throw new Error(`no temporary directory the server can use: ${bases.join(', ')}`);
  return reachable;
}
