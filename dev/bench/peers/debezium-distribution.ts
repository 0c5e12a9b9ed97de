import { execFile } from 'node:child_process';
import { freemem } from 'node:os';
import { promisify } from 'node:util';
import { rmSync } from 'node:fs';
import { findJava, type Java } from './java.ts';
import { downloadArtifact, type MavenArtifact } from './maven-artifact.ts';
import { cachedPeer, fillPeerCache, peerCacheFreeBytes } from './peer-cache.ts';

const run = promisify(execFile);

/** The newest release that was tried. It needs Java 21, although its connectors are content with 17. */
const DISTRIBUTION: MavenArtifact = {
  group: 'io.debezium',
  name: 'debezium-server-dist',
  version: '3.6.0.Final',
  packaging: 'tar.gz',
  sha256: '901ce7b0b75b4dafaac4aa57dac6dfcad5937f96fb7159e25d22759bbf5192e4',
};
const JAVA_MIN = 21;
/** The archive, what is unpacked of it, and Maven's own copy of the archive. */
const DISK_MIN_BYTES = 2.2e9;
const MEMORY_MIN_BYTES = 1e9;
const CACHE_NAME = `debezium-server-${DISTRIBUTION.version}`;

export const DEBEZIUM_VERSION = DISTRIBUTION.version;

export interface DebeziumInstall {
  readonly java: Java;
  /** The directory that holds `lib` and the runner. */
  readonly dir: string;
}

/** Finds Java and finds or downloads the distribution; a string says why that is not to be. */
export async function installDebezium(signal: AbortSignal): Promise<DebeziumInstall | string> {
  const java = await findJava(JAVA_MIN);
  if (java === undefined || java.majorVersion < JAVA_MIN) {
    const found =
      java === undefined ? 'no Java is here' : `Java ${java.majorVersion} is here (${java.command})`;
    return `Debezium Server ${DEBEZIUM_VERSION} needs Java ${JAVA_MIN} or later and ${found}; install one, or set JAVA_HOME`;
  }
  if (freemem() < MEMORY_MIN_BYTES) return `it needs ${gigabytes(MEMORY_MIN_BYTES)} of free memory`;
  const cached = cachedPeer(CACHE_NAME);
  if (cached !== undefined) return { java, dir: cached };
  if (peerCacheFreeBytes() < DISK_MIN_BYTES) {
    return `its download needs ${gigabytes(DISK_MIN_BYTES)} of free disk below .cache`;
  }
  try {
    return {
      java,
      dir: await fillPeerCache(CACHE_NAME, async (dir) => await downloadAndUnpack(dir, signal)),
    };
  } catch (error) {
    signal.throwIfAborted();
    return `Debezium Server ${DEBEZIUM_VERSION} can't be downloaded: ${(error as Error).message}`;
  }
}

async function downloadAndUnpack(dir: string, signal: AbortSignal): Promise<void> {
  const archive = await downloadArtifact(DISTRIBUTION, { dir, signal });
  // Half of it: what its start script leaves off the class path unless it is asked for another database.
  const unneeded = ['connectors', 'lib_opt', 'lib_metrics'].map(
    (name) => `--exclude=debezium-server/${name}`,
  );
  await run('tar', ['-xzf', archive, '-C', dir, '--strip-components=1', '--no-same-owner', ...unneeded], {
    signal,
  });
  rmSync(archive);
}

function gigabytes(bytes: number): string {
  return `${(bytes / 1e9).toFixed(1)} GB`;
}
