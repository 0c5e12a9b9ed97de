import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));
const LINES_MAX = 400;
const STAGES = ['source', 'decode', 'route', 'sink', 'confirm'];
const PURE = ['decode', 'route', 'confirm'];

interface SourceFile {
  /** From src, with forward slashes: `decode/outbox-columns.ts`. */
  readonly path: string;
  readonly folder: string;
  readonly text: string;
  /** Without comments and the contents of strings, so that prose may name what code must not. */
  readonly code: string;
  /** What it imports: `core/lsn.ts` for a file of src, else the module as it is written. */
  readonly imports: readonly string[];
}

const FILES: readonly SourceFile[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readSource(path.replaceAll('\\', '/')));

function readSource(path: string): SourceFile {
  const text = readFileSync(join(SRC, path), 'utf8');
  const specifiers = [
    ...text.matchAll(/^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm),
    ...text.matchAll(/^\s*import\s*['"]([^'"]+)['"]/gm),
    ...text.matchAll(/\b(?:import|require)\(\s*['"]([^'"]+)['"]/g),
  ].map((match) => match[1]!);
  const imports = specifiers.map((specifier) =>
    specifier.startsWith('.')
      ? relative(SRC, join(SRC, dirname(path), specifier)).replaceAll('\\', '/')
      : specifier,
  );
  return { path, folder: path.split('/')[0]!, text, code: stripProse(text), imports };
}

/** Regular expressions and templates are left alone: what stands in `${}` is code. */
function stripProse(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"/g, (prose) =>
    prose.startsWith('/') ? ' ' : "''",
  );
}

function inFolders(folders: readonly string[]): SourceFile[] {
  return FILES.filter(({ folder }) => folders.includes(folder));
}

/** `path: what`, for every file and thing that breaks a rule. */
function offences(files: readonly SourceFile[], find: (file: SourceFile) => readonly string[]): string[] {
  return files.flatMap((file) => find(file).map((what) => `${file.path}: ${what}`));
}

function isBuiltin(module: string): boolean {
  return module.startsWith('node:') || builtinModules.includes(module);
}

function isOfSrc(module: string): boolean {
  return module.endsWith('.ts') && !isBuiltin(module);
}

test('every file of src is looked at, and its imports are found', () => {
  expect(FILES.length).toBeGreaterThan(40);
  expect(new Set(FILES.map(({ folder }) => folder))).toEqual(
    expect.objectContaining(new Set([...STAGES, 'core'])),
  );
  const decoder = FILES.find(({ path }) => path === 'decode/pgoutput-decoder.ts');
  expect(decoder?.imports).toEqual([
    'core/int64.ts',
    'core/lsn.ts',
    'core/walrelay-error.ts',
    'decode/decode-hex.ts',
    'decode/message-head.ts',
    'decode/message-outbox.ts',
    'decode/outbox-columns.ts',
  ]);
});

describe('a stage', () => {
  test.each(STAGES)('%s imports nothing of src but core and itself', (stage) => {
    const found = offences(inFolders([stage]), ({ imports }) =>
      imports.filter(
        (module) => isOfSrc(module) && !module.startsWith('core/') && !module.startsWith(`${stage}/`),
      ),
    );
    expect(found).toEqual([]);
  });

  test.each(PURE)('%s is pure: it imports no module of Node and no package', (stage) => {
    const found = offences(inFolders([stage]), ({ imports }) => imports.filter((module) => !isOfSrc(module)));
    expect(found).toEqual([]);
  });

  test.each(PURE)('%s is pure: it names no clock, chance, timer or process', (stage) => {
    const found = offences(inFolders([stage]), ({ code }) =>
      [
        ...code.matchAll(
          /\b(?:Date|Math\.random|performance|process|setTimeout|setInterval|setImmediate|crypto|console)\b/g,
        ),
      ].map(([name]) => name),
    );
    expect(found).toEqual([]);
  });
});

test('core imports nothing but itself', () => {
  const found = offences(inFolders(['core']), ({ imports }) =>
    imports.filter((module) => !module.startsWith('core/')),
  );
  expect(found).toEqual([]);
});

test('polling knows the two ends and the route between them, and nothing of the other relay', () => {
  const allowed = ['config', 'core', 'ops', 'polling', 'route', 'sink', 'source'];
  const found = offences(inFolders(['polling']), ({ imports }) =>
    imports.filter((module) => isOfSrc(module) && !allowed.includes(module.split('/')[0]!)),
  );
  expect(found).toEqual([]);
  expect(inFolders(['polling']).length).toBeGreaterThan(5);
});

test('the audit knows the two ends and the route between them, and nothing of the relays', () => {
  const allowed = ['audit', 'config', 'core', 'dead-letters', 'ops', 'route', 'sink', 'source'];
  const found = offences(inFolders(['audit']), ({ imports }) =>
    imports.filter((module) => isOfSrc(module) && !allowed.includes(module.split('/')[0]!)),
  );
  expect(found).toEqual([]);
  expect(inFolders(['audit']).length).toBeGreaterThan(5);
});

test('what looks at dead letters knows Redis and the routes, and nothing of the relays or of Postgres', () => {
  const allowed = ['config', 'core', 'dead-letters', 'route', 'sink'];
  const found = offences(inFolders(['dead-letters']), ({ imports }) =>
    imports.filter((module) => isOfSrc(module) && !allowed.includes(module.split('/')[0]!)),
  );
  expect(found).toEqual([]);
  expect(inFolders(['dead-letters']).length).toBeGreaterThan(2);
});

test('trimming knows the streams and what names them, and nothing of the relays or of Postgres', () => {
  const allowed = ['config', 'core', 'ops', 'route', 'sink', 'trimming'];
  const found = offences(inFolders(['trimming']), ({ imports }) =>
    imports.filter((module) => isOfSrc(module) && !allowed.includes(module.split('/')[0]!)),
  );
  expect(found).toEqual([]);
  expect(inFolders(['trimming']).length).toBeGreaterThan(2);
});

test('nobody but the command line knows the audit', () => {
  const others = FILES.filter(({ folder }) => folder !== 'audit' && folder !== 'cli');
  const found = offences(others, ({ imports }) => imports.filter((module) => module.startsWith('audit/')));
  expect(found).toEqual([]);
});

test('nobody but the command line knows what looks for outboxes', () => {
  const others = FILES.filter(({ folder }) => folder !== 'detect' && folder !== 'cli');
  const found = offences(others, ({ imports }) => imports.filter((module) => module.startsWith('detect/')));
  expect(found).toEqual([]);
});

test('nobody but the command line knows polling', () => {
  const others = FILES.filter(({ folder }) => folder !== 'polling' && folder !== 'cli');
  const found = offences(others, ({ imports }) => imports.filter((module) => module.startsWith('polling/')));
  expect(found).toEqual([]);
});

describe('a client library', () => {
  test('of the replication protocol is imported in one file, and in the loop that the bench compares with', () => {
    const users = FILES.filter(({ imports }) => imports.includes('pg-logical-replication'));
    expect(users.map(({ path }) => path).sort()).toEqual([
      'bench/programs/naive-relay.ts',
      'source/replication-connection.ts',
    ]);
  });

  test('of Redis is imported in one file of the sink', () => {
    const users = inFolders(['sink']).filter(({ imports }) => imports.includes('ioredis'));
    expect(users.map(({ path }) => path)).toEqual(['sink/redis-connection.ts']);
  });
});

describe('the bench', () => {
  test('is imported by nobody but cli', () => {
    const others = FILES.filter(({ folder }) => folder !== 'cli' && folder !== 'bench');
    const found = offences(others, ({ imports }) => imports.filter((module) => module.startsWith('bench/')));
    expect(found).toEqual([]);
  });

  test('measures the relays from outside: of them it borrows quoting, set-up statements and errors', () => {
    const found = offences(inFolders(['bench']), ({ imports }) =>
      imports.filter((module) => isOfSrc(module) && !/^(?:bench|core|source)\//.test(module)),
    );
    expect(found).toEqual([]);
  });
});

test('process is named in cli alone, and in the programs of the bench, each of which is a process of its own', () => {
  const others = FILES.filter(({ folder, path }) => folder !== 'cli' && !path.startsWith('bench/programs/'));
  const found = offences(others, ({ code, imports }) => [
    ...[...code.matchAll(/(?<![.\w$])process\s*[.[)]|\bglobalThis\s*\.\s*process\b/g)].map(([name]) => name),
    ...imports.filter((module) => module === 'node:process' || module === 'process'),
  ]);
  expect(found).toEqual([]);
});

test(`no file is longer than ${LINES_MAX} lines`, () => {
  const found = offences(FILES, ({ text }) => {
    const lines = text.trimEnd().split('\n').length;
    return lines > LINES_MAX ? [`${lines} lines`] : [];
  });
  expect(found).toEqual([]);
});

test('nothing is exported by default', () => {
  const found = offences(FILES, ({ code }) =>
    [...code.matchAll(/^\s*export\s+default\b|\bas\s+default\b/gm)].map(([text]) => text.trim()),
  );
  expect(found).toEqual([]);
});

test('files are named after one thing: no drawers', () => {
  const drawer = /(?:^|\/)(?:utils?|helpers?|common|types|manager|misc|shared|index)\.ts$/;
  expect(FILES.filter(({ path }) => drawer.test(path)).map(({ path }) => path)).toEqual([]);
  const oddlyNamed = FILES.filter(({ path }) => !/^[a-z0-9-]+(?:\/[a-z0-9-]+)*\.ts$/.test(path));
  expect(oddlyNamed.map(({ path }) => path)).toEqual([]);
});
