import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const VERSION_TIMEOUT_MS = 10_000;
/** Where packages of Linux distributions and of macOS put what is not the default `java`. */
const HOMES: readonly { readonly dir: string; readonly below: string }[] = [
  { dir: '/usr/lib/jvm', below: '' },
  { dir: '/Library/Java/JavaVirtualMachines', below: 'Contents/Home' },
];

export interface Java {
  readonly command: string;
  readonly majorVersion: number;
}

/**
 * A Java that is new enough, else the newest there is, else undefined. JAVA_HOME and `java` on PATH come first: they
 * are what the user has chosen. The default of a distribution is often years older than another one beside it.
 */
export async function findJava(majorVersionMin: number): Promise<Java | undefined> {
  let newest: Java | undefined;
  for (const command of candidates()) {
    const majorVersion = await versionOf(command);
    if (majorVersion === undefined) continue;
    if (majorVersion >= majorVersionMin) return { command, majorVersion };
    if (newest === undefined || majorVersion > newest.majorVersion) newest = { command, majorVersion };
  }
  return newest;
}

/** `25` of `openjdk version "25.0.3"`, `8` of `java version "1.8.0_392"`. */
export function parseJavaVersion(output: string): number | undefined {
  const match = /version "(\d+)(?:\.(\d+))?/.exec(output);
  if (match === null) return undefined;
  const first = Number(match[1]);
  return first === 1 ? Number(match[2]) : first;
}

function candidates(): string[] {
  const javaHome = process.env['JAVA_HOME'];
  const chosen = javaHome === undefined || javaHome === '' ? [] : [join(javaHome, 'bin', 'java')];
  const installed = HOMES.flatMap(({ dir, below }) =>
    existsSync(dir) ? readdirSync(dir).map((name) => join(dir, name, below, 'bin', 'java')) : [],
  );
  return [...chosen, 'java', ...installed.filter((command) => existsSync(command)).sort()];
}

async function versionOf(command: string): Promise<number | undefined> {
  try {
    const { stdout, stderr } = await run(command, ['-version'], { timeout: VERSION_TIMEOUT_MS });
    return parseJavaVersion(stderr + stdout);
  } catch {
    return undefined;
  }
}
