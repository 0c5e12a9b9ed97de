import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

interface LockedPackage {
  readonly version?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const lockText = read('package-lock.json');
const lock = JSON.parse(lockText) as Manifest & {
  readonly packages: Readonly<Record<string, LockedPackage>>;
};
const manifest = JSON.parse(read('package.json')) as Manifest;

function read(file: string): string {
  return readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
}

/** As Node resolves it: from the package's own folder upwards. */
function resolve(from: string, name: string): LockedPackage | undefined {
  let folder = from;
  for (;;) {
    const found = lock.packages[`${folder === '' ? '' : `${folder}/`}node_modules/${name}`];
    if (found !== undefined || folder === '') return found;
    const parent = folder.lastIndexOf('/node_modules/');
    folder = parent === -1 ? '' : folder.slice(0, parent);
  }
}

test('the lock names no registry: npm install takes the one that is configured', () => {
  const resolved = Object.entries(lock.packages).filter(([, { resolved: url }]) => url !== undefined);
  expect(resolved.map(([path]) => path)).toEqual([]);
  expect(lockText).not.toMatch(/"resolved"/);
  expect(lockText).not.toMatch(
    /\bregistry\.|\/\/[^"]*\b(?:npm|npmjs|yarnpkg|artifactory|nexus|verdaccio)\b[^"]*\.tgz/i,
  );
  expect(lockText).not.toMatch(/https?:\/\/[^"]*\.tgz/);
});

test('every optional dependency is locked: else another platform would install without its binaries', () => {
  const missing = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => resolve(path, name) === undefined)
      .map((name) => `${path} → ${name}`),
  );
  expect(missing).toEqual([]);
});

test('every dependency is locked', () => {
  const missing = Object.entries(lock.packages).flatMap(([path, { dependencies = {} }]) =>
    Object.keys(dependencies)
      .filter((name) => resolve(path, name) === undefined)
      .map((name) => `${path} → ${name}`),
  );
  expect(missing).toEqual([]);
});

test('every version in package.json is exact, and the one that is locked', () => {
  const wanted = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).map(
    // A second version of a package stands under an alias: `npm:name@version`.
    ([name, version]) => [name, version.replace(/^npm:[^@]+@/, '')] as const,
  );
  expect(wanted.length).toBeGreaterThan(10);
  expect(wanted.filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version))).toEqual([]);
  expect(
    wanted.filter(([name, version]) => lock.packages[`node_modules/${name}`]?.version !== version),
  ).toEqual([]);
});

test('the lock is of this version of the package', () => {
  expect({ name: lock.name, version: lock.version }).toEqual({
    name: manifest.name,
    version: manifest.version,
  });
});
