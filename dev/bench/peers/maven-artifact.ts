import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify, stripVTControlCharacters } from 'node:util';

const run = promisify(execFile);
const DEFAULT_REPOSITORY = 'https://repo1.maven.org/maven2';
const PROBE_TIMEOUT_MS = 20_000;

export interface MavenArtifact {
  readonly group: string;
  readonly name: string;
  readonly version: string;
  readonly packaging: string;
  /** Of the file, in hexadecimal: a repository's own checksum file proves only that the transfer was whole. */
  readonly sha256: string;
}

/**
 * Downloads an artifact into a directory and resolves with its path. With BENCH_MAVEN_URL set, from there. Else by
 * Maven where it is installed, because Maven knows the machine's mirror and proxy; else from Maven Central.
 */
export async function downloadArtifact(
  artifact: MavenArtifact,
  { dir, signal }: { readonly dir: string; readonly signal: AbortSignal },
): Promise<string> {
  const path = join(dir, artifactFileName(artifact));
  const repository = process.env['BENCH_MAVEN_URL'];
  if (repository === undefined && (await hasMaven())) await copyWithMaven(artifact, { dir, signal });
  else await download(artifactUrl(repository ?? DEFAULT_REPOSITORY, artifact), { path, signal });

  const found = await sha256Of(path);
  if (found !== artifact.sha256) {
    throw new Error(`${artifactFileName(artifact)} has the SHA-256 ${found} instead of ${artifact.sha256}`);
  }
  return path;
}

export function artifactUrl(repository: string, artifact: MavenArtifact): string {
  const folder = `${artifact.group.replaceAll('.', '/')}/${artifact.name}/${artifact.version}`;
  return `${repository.replace(/\/+$/, '')}/${folder}/${artifactFileName(artifact)}`;
}

function artifactFileName({ name, version, packaging }: MavenArtifact): string {
  return `${name}-${version}.${packaging}`;
}

async function hasMaven(): Promise<boolean> {
  return await run('mvn', ['--version'], { timeout: PROBE_TIMEOUT_MS }).then(
    () => true,
    () => false,
  );
}

async function copyWithMaven(
  { group, name, version, packaging }: MavenArtifact,
  { dir, signal }: { readonly dir: string; readonly signal: AbortSignal },
): Promise<void> {
  const coordinates = `${group}:${name}:${version}:${packaging}`;
  const args = ['--batch-mode', '--quiet', '--strict-checksums', 'dependency:copy'];
  try {
    // From a directory without a pom.xml: no project's settings take part.
    await run('mvn', [...args, `-Dartifact=${coordinates}`, `-DoutputDirectory=${dir}`], {
      cwd: dir,
      signal,
    });
  } catch (error) {
    signal.throwIfAborted();
    throw new Error(`Maven can't get ${coordinates}: ${mavenFault(error)}`, { cause: error });
  }
}

/** Its first error, without colours and without the addresses of the repositories it asked. */
function mavenFault(error: unknown): string {
  const { stdout } = error as { stdout?: string };
  const line = stdout?.split('\n').find((said) => said.includes('[ERROR]')) ?? String(error);
  return stripVTControlCharacters(line)
    .replace(/^.*?\[ERROR\] (?:Failed to execute goal \S+ \S+ \S+ \S+ )?/, '')
    .replace(/ \(https?:[^)]*\)/g, '');
}

async function download(
  url: string,
  { path, signal }: { readonly path: string; readonly signal: AbortSignal },
): Promise<void> {
  const response = await fetch(url, { signal });
  if (!response.ok || response.body === null) throw new Error(`${url} answers ${response.status}`);
  await pipeline(Readable.fromWeb(response.body), createWriteStream(path), { signal });
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
