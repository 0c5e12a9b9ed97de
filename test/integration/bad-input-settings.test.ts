import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Env, runCli } from '../support/cli.ts';
import { expectNoSecrets, refusalOf, refusedCommand } from '../support/setup-refusal.ts';

/** No server answers there: whatever is refused here was refused before any connection. */
const URLS: Env = {
  DATABASE_URL: 'postgres://relay:Gartenzwerg@127.0.0.1:1/shop',
  REDIS_URL: 'redis://:Sonnenblume@127.0.0.1:1',
};

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'walrelay-settings-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

function file(name: string, text: string): string {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
}

async function refused(args: readonly string[], env: Env = URLS) {
  const refusal = await refusedCommand(args, env);
  expect(refusal).toMatchObject({ code: 'CONFIG_INVALID', exitCode: 78 });
  expect(refusal.hint).toContain('walrelay run --help');
  for (const secret of ['Gartenzwerg', 'Sonnenblume'])
    expect(refusal.result.stderr.includes(secret)).toBe(false);
  return refusal.message;
}

test('a setting that does not exist is named wherever it stands, with the likely one', async () => {
  expect(await refused(['run'], { ...URLS, WALRELAY_SLOTT: 'x' })).toContain(
    'WALRELAY_SLOTT: unknown variable; did you mean WALRELAY_SLOT?',
  );
  const path = file('unknown.yaml', 'slott: x\n');
  expect(await refused(['run', '--config', path])).toContain(
    `${path}: slott: unknown key; did you mean slot?`,
  );

  const flag = await runCli(['run', '--slott', 'x'], URLS);
  expectNoSecrets(flag, URLS);
  expect(flag.exitCode).toBe(78);
  expect(flag.stderr).toContain("unknown option '--slott'");
  expect(flag.stderr).toContain('--slot');
});

test('a value of the wrong type is refused wherever it stands, with what is expected', async () => {
  expect(await refused(['init'], { ...URLS, WALRELAY_REDIS_TIMEOUT_MS: 'ten' })).toContain(
    'WALRELAY_REDIS_TIMEOUT_MS: got "ten"; expected milliseconds, a whole number from 100 to 600000',
  );
  expect(await refused(['run', '--batch-events-max', '0'])).toContain(
    '--batch-events-max: got "0"; expected',
  );
  const path = file('types.yaml', 'slot: [a, b]\nmemoryBudgetBytes: lots\n');
  const message = await refused(['run'], { ...URLS, WALRELAY_CONFIG: path });
  expect(message).toContain(`${path}: slot: got a list; expected 1 to 63 of a-z, 0-9 and _`);
  expect(message).toContain(`${path}: memoryBudgetBytes: got "lots"; expected bytes`);
});

test('every problem is reported at once, from every place', async () => {
  const path = file('many.yaml', 'httpPort: 70000\nspeed: fast\n');
  const message = await refused(['run', '--config', path, '--slot', 'Böse'], {
    DATABASE_URL: 'mysql://relay:Gartenzwerg@db/shop',
    WALRELAY_LOG_LEVEL: 'loud',
    WALRELAY_BACKOFF_MIN_MS: '500',
    WALRELAY_BACKOFF_MAX_MS: '100',
  });
  expect(message).toContain('7 problems in the settings:');
  for (const part of [
    `${path}: speed: unknown key`,
    `${path}: httpPort: got 70000`,
    '--slot: got "Böse"',
    'DATABASE_URL: the value given (not shown) is refused',
    'REDIS_URL: not set',
    'WALRELAY_LOG_LEVEL: got "loud"',
    'at least backoffMinMs, which is 500',
  ]) {
    expect(message).toContain(part);
  }
});

test('a configuration file that is missing, no YAML or no map is named, and its text never shown', async () => {
  const missing = join(dir, 'nowhere.yaml');
  expect(await refused(['run', '--config', missing])).toContain(
    `--config: ${missing} can't be read (ENOENT)`,
  );
  expect(await refused(['run'], { ...URLS, WALRELAY_CONFIG: missing })).toContain(
    `WALRELAY_CONFIG: ${missing} can't be read (ENOENT)`,
  );
  const broken = file('broken.yaml', 'databaseUrl: "postgres://relay:Gartenzwerg@db/shop\nslot: x\n');
  expect(await refused(['run', '--config', broken], {})).toContain(`${broken}: not valid YAML`);
  const list = file('list.yaml', '- Gartenzwerg\n');
  expect(await refused(['run', '--config', list])).toContain(`${list}: expected lines like "slot: walrelay"`);
});

test('a secret in a file is read from there; one that can’t be read, or is given twice, is refused', async () => {
  const redis = file('redis-url', 'redis://:Sonnenblume@127.0.0.1:1\n');
  const env = { DATABASE_URL: URLS['DATABASE_URL'] ?? '', REDIS_URL_FILE: redis };
  const reached = await refusedCommand(['init'], env);
  expect(reached).toMatchObject({ code: 'REDIS_UNREACHABLE', exitCode: 69 });
  expect(reached.result.stderr).not.toContain('Sonnenblume');
  expect(await refused(['init'], { ...env, ...URLS })).toContain('REDIS_URL_FILE is set too');
  expect(await refused(['init'], { ...env, REDIS_URL_FILE: dir })).toContain("can't be read (EISDIR)");
});

test('an unknown command says what there is, with the code of a wrong configuration', async () => {
  const result = await runCli(['start'], URLS);
  expect(result.exitCode).toBe(78);
  expect(result.stderr).toContain("unknown command 'start'");
  expect(() => refusalOf(result, URLS)).toThrow('no refusal');
});
