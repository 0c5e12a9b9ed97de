import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { unpackFromApt } from './apt-archive.ts';
import { serverUser } from './server-user.ts';
import { tempBase } from './temp-base.ts';

/** The wall clock of one host: of every process that is started with its environment. */
export interface FakeClock extends AsyncDisposable {
  readonly env: Readonly<Record<string, string>>;
  /** How far it is ahead of the real one from now on; negative: behind. What counts time without a date goes on. */
  jumpTo(offsetSeconds: number): void;
}

/** Undefined where libfaketime can't be had. */
export async function startFakeClock(): Promise<FakeClock | undefined> {
  const library = await libfaketime();
  if (library === undefined) return undefined;
  // Where also the user of Postgres may read.
  const dir = mkdtempSync(join(tempBase(serverUser()), 'walrelay-clock-'));
  chmodSync(dir, 0o755);
  const preloaded = join(dir, 'libfaketime.so.1');
  copyFileSync(library, preloaded);
  chmodSync(preloaded, 0o755);
  const file = join(dir, 'offset');
  const jumpTo = (seconds: number): void => {
    writeFileSync(file, `${seconds < 0 ? '-' : '+'}${Math.abs(seconds)}s\n`, { mode: 0o644 });
  };
  jumpTo(0);
  return {
    env: {
      LD_PRELOAD: preloaded,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: '1',
      // A clock that is set leaves the monotonic one alone.
      DONT_FAKE_MONOTONIC: '1',
      FAKETIME_DONT_RESET: '1',
    },
    jumpTo,
    async [Symbol.asyncDispose]() {
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function libfaketime(): Promise<string | undefined> {
  if (process.platform !== 'linux') return undefined;
  return await unpackFromApt({ name: 'faketime', packages: ['libfaketime'], find: findLibrary }).catch(
    () => undefined,
  );
}

function findLibrary(root: string): string | undefined {
  const libDir = join(root, 'usr', 'lib');
  if (!existsSync(libDir)) return undefined;
  return readdirSync(libDir)
    .map((platform) => join(libDir, platform, 'faketime', 'libfaketimeMT.so.1'))
    .find((file) => existsSync(file));
}
