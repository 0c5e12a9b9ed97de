import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface ServerUser {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Unprivileged accounts that nearly every Unix has, the best first. */
const PREFERRED_NAMES: readonly string[] = ['postgres', 'nobody', 'daemon'];

/**
 * Whom Postgres runs as. It refuses to run as root, and initdb looks the user up, so as root we borrow an
 * account that has a passwd entry; otherwise undefined, which means ourselves.
 */
export function serverUser(): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const found = chooseUser(readFileSync('/etc/passwd', 'utf8'));
  if (found === undefined)
    throw new Error('running as root, and /etc/passwd names no other user for Postgres');
  return found;
}

export function chooseUser(passwd: string): ServerUser | undefined {
  const users = passwd
    .split('\n')
    .map(parsePasswdLine)
    .filter((user) => user !== undefined);
  for (const name of PREFERRED_NAMES) {
    const preferred = users.find((user) => user.name === name);
    if (preferred !== undefined) return preferred;
  }
  return users[0];
}

/** Asks the system by running the command, rather than reading modes: ACLs, noexec and libc all count. */
export function canRun(command: string, args: readonly string[], user: ServerUser | undefined): boolean {
  const identity = user === undefined ? {} : { uid: user.uid, gid: user.gid };
  const result = spawnSync(command, [...args], { ...identity, cwd: '/', stdio: 'ignore', timeout: 10_000 });
  return result.status === 0;
}

function parsePasswdLine(line: string): ServerUser | undefined {
  const [name, , uid, gid] = line.split(':');
  if (name === undefined || name === '' || uid === undefined || gid === undefined) return undefined;
  const user = { name, uid: Number(uid), gid: Number(gid) };
  return Number.isInteger(user.uid) && Number.isInteger(user.gid) && user.uid > 0 ? user : undefined;
}
