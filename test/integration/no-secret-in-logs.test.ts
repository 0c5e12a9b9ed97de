import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { quoteLiteral } from '../../src/source/sql.ts';
import { Canaries } from '../support/canaries.ts';
import { Links } from '../support/chaos-links.ts';
import { type CliResult, type Daemon, type DaemonOptions, type Env, runCli } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitForHorizon } from '../support/cleaned-outbox.ts';
import { waitFor } from '../support/wait-for.ts';

/** Some of these start many relays, one after the other. */
vi.setConfig({ testTimeout: 240_000 });

/**
 * Everything that goes wrong here goes wrong with canaries in the passwords, payloads, types and headers, at the level
 * trace: none may stand in a line that a relay or command writes. (`explain` is asked about one event by its reader.)
 */
const canaries = new Canaries();
const PASSWORD = { postgres: canaries.secret('PG'), redis: canaries.secret('REDIS') };
const EVENT = {
  payload: JSON.stringify({ card: canaries.secret('PAYLOAD') }),
  type: canaries.plain('TYPE'),
};
const HEADER = canaries.plain('HEADER');

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'walrelay-canaries-'));
});

afterAll(() => {
  rmSync(dir, { recursive: true });
});

test('the search finds what it looks for, also when only a part is written, or in another form', () => {
  const own = new Canaries();
  const secret = own.secret('OWN');
  for (const line of [
    secret,
    encodeURIComponent(secret),
    JSON.stringify({ a: secret }),
    Buffer.from(secret).toString('base64'),
  ]) {
    expect(() => own.check('x', { stdout: '', stderr: `{"msg":"${line}"}` })).toThrow('is written');
  }
  own.check('x', { stdout: 'nothing', stderr: '' });
});

/** An outbox whose role, Redis user and rows are full of canaries; every process that it starts is looked at. */
class Place implements AsyncDisposable {
  readonly outbox: Outbox;
  readonly links: Links;
  readonly env: Env;

  private constructor(outbox: Outbox, links: Links, env: Env) {
    this.outbox = outbox;
    this.links = links;
    this.env = env;
  }

  static async create(): Promise<Place> {
    const outbox = await createOutbox();
    await outbox.query(
      `CREATE ROLE ${outbox.name} LOGIN REPLICATION PASSWORD ${quoteLiteral(PASSWORD.postgres)}`,
    );
    await outbox.query(`GRANT SELECT, UPDATE, DELETE ON outbox TO ${outbox.name}`);
    await outbox.query(`ALTER TABLE outbox ADD COLUMN headers jsonb DEFAULT '{"token": "${HEADER}"}'`);
    await outbox.redis.call('ACL', 'SETUSER', outbox.name, 'on', `>${PASSWORD.redis}`, '~*', '+@all');
    const links = await Links.open(outbox);
    const env = {
      DATABASE_URL: withLogin(links.postgres.url(outbox.databaseUrl), outbox.name, PASSWORD.postgres),
      REDIS_URL: withLogin(links.redis.url(outbox.redisUrl), outbox.name, PASSWORD.redis),
      WALRELAY_LOG_LEVEL: 'trace',
    };
    return new Place(outbox, links, env);
  }

  start(env: Env = {}, options: DaemonOptions = {}): Daemon {
    return this.outbox.start({ ...this.env, ...env }, options);
  }

  async command(...args: string[]): Promise<CliResult> {
    const result = await runCli(args, { ...this.outbox.env, ...this.env });
    canaries.check(args.join(' '), result);
    return result;
  }

  /** Why a relay stopped. */
  async end(daemon: Daemon): Promise<string | undefined> {
    const result = await daemon.exited;
    canaries.check('a relay', result);
    return daemon.log.findLast(({ level }) => level === 'fatal')?.err?.code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { outbox, links } = this;
    await outbox.redis.call('ACL', 'DELUSER', outbox.name);
    await links[Symbol.asyncDispose]();
    await waitFor('the role to be gone', async () => {
      try {
        await outbox.query(`DROP OWNED BY ${outbox.name} CASCADE`);
        await outbox.query(`DROP ROLE ${outbox.name}`);
        return true;
      } catch {
        return false;
      }
    });
    await outbox[Symbol.asyncDispose]();
  }
}

function withLogin(url: string, user: string, password: string): string {
  const changed = new URL(url);
  changed.username = user;
  changed.password = encodeURIComponent(password);
  return changed.href;
}

test('a day in the life: sessions cut at any byte, crashes, refused passwords, audits, repairs, a recovery', async () => {
  await using place = await Place.create();
  const { outbox, links } = place;
  const oracle = await Oracle.create(outbox);
  const daemon = place.start({ WALRELAY_AUDIT_INTERVAL_MS: '100' });
  await daemon.streaming();
  for (let round = 0; round < 6; round += 1) {
    const lines = daemon.log.length;
    await outbox.query(
      'INSERT INTO outbox (aggregatetype, aggregateid, type, payload) SELECT $1, i::text, $2, $3 FROM generate_series(1, 200) i',
      ['order', EVENT.type, EVENT.payload],
    );
    (round % 2 === 0 ? links.postgres : links.redis).resetAll();
    await daemon.waitForLog('streaming', { since: lines });
  }
  await outbox.waitUntilConfirmed();
  await outbox.redis.call('CONFIG', 'SET', 'maxmemory', '1');
  const id = await outbox.insert(EVENT);
  await waitFor('a refusal', () => daemon.log.some(({ err }) => err?.code === 'REDIS_FULL'));
  await outbox.redis.call('CONFIG', 'SET', 'maxmemory', '0');
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(1201);
  // Holes, which the audit beside the relay and the command tell of, with examples. The audit looks at each time once: it
  // may have passed before a hole was made.
  let hole = '';
  await waitFor('the audit beside the relay to meet a hole', async () => {
    hole = await outbox.insert(EVENT);
    await outbox.waitUntilConfirmed();
    const [newest] = await outbox.redis.xrevrange(outbox.stream(), '+', '-', 'COUNT', 1);
    await outbox.redis.xdel(outbox.stream(), newest?.[0] ?? '');
    return daemon.log.some(({ msg }) => msg === 'events are missing from the streams');
  });
  // Without a relay an audit judges, and repairs, what is behind the slot's horizon only.
  await waitForHorizon(outbox);
  const killed = await daemon.kill();
  canaries.check('run', killed);

  expect((await place.command('audit')).exitCode).toBe(71);
  expect((await place.command('audit', '--json', '--repair', '--yes')).stdout).toContain(hole);
  expect(
    (await place.command('replay', '--id', id, '--to-stream', outbox.stream('again'), '--yes')).exitCode,
  ).toBe(0);
  expect((await place.command('epoch', 'show')).exitCode).toBe(0);
  await place.command('init', '--print-sql');
  await outbox.query('SELECT pg_drop_replication_slot($1)', [outbox.name]);
  expect(await place.end(place.start())).toBe('SLOT_MISSING');
  expect((await place.command('recover', '--yes', '--json')).exitCode).toBe(0);
});

test('events that can’t pass: no name for a stream, too large, a foreign key, a user without the right', async () => {
  await using place = await Place.create();
  const { outbox } = place;
  await outbox.redis.set(outbox.stream('taken'), 'no stream');
  const cases: [code: string, event: { aggregateType?: string; payload?: string }][] = [
    ['EVENT_REFUSED', { aggregateType: 'taken' }],
    ['EVENT_TOO_LARGE', { payload: JSON.stringify({ long: EVENT.payload.repeat(2000) }) }],
    ['EVENT_STREAM_NAME', { aggregateType: 'no\nname' }],
  ];
  const limit = { WALRELAY_EVENT_BYTES_MAX: '1KiB', WALRELAY_BATCH_BYTES_MAX: '1KiB' };
  for (const [code, event] of cases) {
    await outbox.insert({ ...EVENT, ...event });
    expect(await place.end(place.start(code === 'EVENT_TOO_LARGE' ? limit : {}))).toBe(code);
    await outbox.redis.del(outbox.stream('taken'));
  }
  await outbox.redis.call('ACL', 'SETUSER', outbox.name, '-xadd');
  expect(await place.end(place.start({ WALRELAY_STREAM: `${outbox.name}.all` }))).toBe('REDIS_PRIVILEGE');
});

test('passwords that are refused, or not even readable, in the environment, in files and in YAML', async () => {
  await using place = await Place.create();
  const { outbox } = place;
  const wrong = canaries.secret('WRONG');
  const { DATABASE_URL: database = '', REDIS_URL: redis = '' } = place.env;
  expect(await place.end(place.start({ DATABASE_URL: withLogin(database, outbox.name, wrong) }))).toBe(
    'PG_AUTH',
  );
  expect(await place.end(place.start({ REDIS_URL: withLogin(redis, outbox.name, wrong) }))).toBe(
    'REDIS_AUTH',
  );
  const file = join(dir, 'secret');
  for (const [text, name] of [
    [`postgres://me:${wrong}@db/shop`, 'DATABASE_URL'],
    [wrong, 'DATABASE_URL'],
    [`redis://:${wrong}@cache`, 'REDIS_URL'],
    [`rediss://${wrong}`, 'REDIS_URL'],
    [`postgres://me:${encodeURIComponent(wrong)}@db/shop?sslmode=x`, 'DATABASE_URL'],
  ] as const) {
    writeFileSync(file, text);
    const env = { ...outbox.env, ...place.env };
    for (const given of [{ [name]: text }, { [name]: '', [`${name}_FILE`]: file }]) {
      const result = await runCli(['run'], { ...env, ...given });
      expect(result.exitCode).toBe(78);
      canaries.check('a URL that can’t be read', result);
    }
    writeFileSync(join(dir, 'walrelay.yaml'), `databaseUrl: [${text}\n${text}\n`);
    const yaml = await runCli(['run', '--config', join(dir, 'walrelay.yaml')], env);
    expect(yaml.exitCode).toBe(78);
    canaries.check('YAML', yaml);
  }

  // Replaced under a running relay, by what is none, then by one that is refused.
  writeFileSync(file, database);
  const daemon = place.start({ DATABASE_URL: '', DATABASE_URL_FILE: file });
  await daemon.streaming();
  writeFileSync(file, wrong);
  place.links.postgres.resetAll();
  await waitFor('a session that can’t read it', () =>
    daemon.log.some(({ err }) => err?.code === 'SECRET_UNREADABLE'),
  );
  writeFileSync(file, withLogin(database, outbox.name, wrong));
  expect(await place.end(daemon)).toBe('PG_AUTH');
});

test('a polling relay, and a trigger whose complaint quotes the row', async () => {
  await using place = await Place.create();
  const { outbox } = place;
  await outbox.query(`CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN RAISE EXCEPTION ''no: % % %'', old.payload, old.type, old.headers; END'`);
  await outbox.query(
    'CREATE TRIGGER complain BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION complain()',
  );
  await outbox.insert(EVENT);
  const daemon = place.start({}, { args: ['poll'] });
  await daemon.exited;
  canaries.check('poll', await daemon.exited);
  expect(daemon.stderr).toContain('P0001');
});

test('all of that wrote lines to look at', () => {
  expect(canaries.lines).toBeGreaterThan(100);
});
