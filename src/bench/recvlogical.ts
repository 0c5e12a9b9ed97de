import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const DEBIAN_ROOT = '/usr/lib/postgresql';
const TIMEOUT_MS = 120_000;

export interface Recvlogical {
  readonly command: string;
  readonly version: string;
}

/** The newest pg_recvlogical of this machine: on PATH, or where Debian keeps those of each major version. */
export async function findRecvlogical(path: string): Promise<Recvlogical | undefined> {
  const majors = existsSync(DEBIAN_ROOT)
    ? readdirSync(DEBIAN_ROOT).map((major) => join(DEBIAN_ROOT, major, 'bin'))
    : [];
  const found: Recvlogical[] = [];
  for (const dir of [...path.split(delimiter), ...majors]) {
    const command = join(dir, 'pg_recvlogical');
    if (dir === '' || !existsSync(command)) continue;
    const version = await run(command, ['--version']).then(
      ({ stdout }) => /(\d+(?:\.\d+)?)\s/.exec(`${stdout} `)?.[1],
      () => undefined,
    );
    if (version !== undefined) found.push({ command, version });
  }
  return found.sort((a, b) => Number(b.version) - Number(a.version))[0];
}

/** Reads a slot to /dev/null up to a position; resolves with the seconds that took. */
export async function receive(
  { command }: Recvlogical,
  options: {
    readonly databaseUrl: string;
    readonly slot: string;
    readonly publication: string;
    readonly endLsn: string;
    readonly env: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const { databaseUrl, slot, publication, endLsn, env, signal } = options;
  const url = new URL(databaseUrl);
  const password = decodeURIComponent(url.password) || url.searchParams.get('password') || '';
  // Arguments are for everybody on this machine to see.
  url.password = '';
  url.searchParams.delete('password');
  const beganMs = performance.now();
  await run(
    command,
    [
      '--dbname',
      url.href,
      '--slot',
      slot,
      '--start',
      '--no-loop',
      '--file',
      '/dev/null',
      '--endpos',
      endLsn,
      '--option',
      'proto_version=1',
      '--option',
      `publication_names=${publication}`,
    ],
    { env: { ...env, ...(password === '' ? {} : { PGPASSWORD: password }) }, timeout: TIMEOUT_MS, signal },
  );
  return (performance.now() - beganMs) / 1000;
}
