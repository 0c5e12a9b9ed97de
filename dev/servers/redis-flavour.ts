import { chmodSync, existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackFromApt } from './apt-archive.ts';
import { type RedisBinary, redisOnPath, redisProduct } from './redis-binary.ts';

/**
 * Servers that a test asks for by name, besides the one that is at hand. All have WAITAOF; the newest also knows which
 * entries of a stream every consumer group has acknowledged (XTRIM … ACKED).
 */
export type RedisFlavour = 'valkey-8' | 'redis-8' | 'redis-8.6';

/** Why a server can't be had here, for people. */
export interface MissingServer {
  readonly missing: string;
}

/** The machine's own when it is that one, else Debian's, unpacked without root. Downloaded once, 5 MB. */
export async function redisFlavour(flavour: RedisFlavour): Promise<RedisBinary | MissingServer> {
  const { product, suites, packages } = FLAVOURS[flavour];
  const own = redisOnPath();
  if (own !== undefined && product.test(own.product)) return own;
  if (!existsSync(DEBIAN_KEYRING)) {
    return { missing: `${flavour}: not on PATH, and no ${DEBIAN_KEYRING} to check Debian's package with` };
  }
  try {
    const unpacked = await unpackFromApt({
      name: flavour,
      packages,
      sources: debianSources(suites),
      prepare: writeStarter,
      find: (root) => started(root, flavour),
    });
    return unpacked ?? { missing: `${flavour}: not on PATH, and no apt to download it with` };
  } catch (error) {
    return { missing: `${flavour}: apt does not deliver it: ${firstLine(error)}` };
  }
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

/** With every library down to the C library: these servers come from another release than the machine's. */
const FLAVOURS = {
  'valkey-8': {
    product: /^Valkey ([89]|\d\d)/,
    suites: 'bookworm bookworm-backports',
    packages: [
      'valkey-server/bookworm-backports',
      'valkey-tools/bookworm-backports',
      ...LIBRARIES,
      'libssl3',
      'liblz4-1',
      'liblzma5',
      'libgcrypt20',
      'libgpg-error0',
    ],
  },
  'redis-8': {
    product: /^Redis ([89]|\d\d)/,
    suites: 'trixie',
    packages: ['redis-server', 'redis-tools', ...LIBRARIES, 'libssl3t64', 'zlib1g'],
  },
  'redis-8.6': {
    product: /^Redis (8\.([6-9]|\d\d)|9|\d\d)/,
    suites: 'sid experimental',
    packages: ['redis-server/experimental', 'redis-tools/experimental', ...LIBRARIES, 'libssl3t64', 'zlib1g'],
  },
} as const satisfies Record<
  RedisFlavour,
  { readonly product: RegExp; readonly suites: string; readonly packages: readonly string[] }
>;

function debianSources(suites: string): string {
  return [
    'Types: deb',
    'URIs: http://deb.debian.org/debian',
    `Suites: ${suites}`,
    'Components: main',
    `Signed-By: ${DEBIAN_KEYRING}`,
    '',
  ].join('\n');
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

function started(root: string, flavour: RedisFlavour): RedisBinary | undefined {
  const command = join(root, STARTER);
  if (!existsSync(command)) return undefined;
  const product = redisProduct(command, {});
  if (product === undefined || !FLAVOURS[flavour].product.test(product)) return undefined;
  return { command, env: {}, product, origin: 'unpacked from Debian' };
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n').find((line) => line.startsWith('E: ')) ?? text.split('\n')[0] ?? '';
}
