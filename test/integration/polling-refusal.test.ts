import { expect, test } from 'vitest';
import type { Env } from '../support/cli.ts';
import { readEntries } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import {
  comparePolled,
  createPolledOutbox,
  insertMany,
  startPoll,
  startPolling,
  untilPolled,
} from '../support/polled-outbox.ts';
import { type Refusal, refusalOf } from '../support/setup-refusal.ts';
import { Role } from '../support/setup-role.ts';

async function refusedPoll(outbox: Outbox, env: Env = {}): Promise<Refusal> {
  const daemon = startPoll(outbox, env);
  return refusalOf(await daemon.exited, { ...outbox.env, ...env });
}

test('an event that Redis refuses halts the relay in front of it: what is before it is gone, what is behind it stays', async () => {
  await using outbox = await createPolledOutbox();
  await outbox.redis.lpush(outbox.stream('bad'), 'a list');
  await insertMany(outbox, 700, 'good');
  const bad = await outbox.insert({ aggregateType: 'bad' });
  await insertMany(outbox, 300, 'good');
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const refusal = await refusedPoll(outbox);
    expect(refusal).toMatchObject({ code: 'EVENT_REFUSED', exitCode: 68 });
    expect(refusal.message).toContain(bad);
    expect(refusal.hint).toContain(`RENAME ${outbox.stream('bad')}`);
    expect(await outbox.redis.xlen(outbox.stream('good'))).toBe(700);
    expect(await outbox.query('SELECT FROM outbox')).toHaveLength(301);
  }
  await outbox.redis.del(outbox.stream('bad'));
  await startPolling(outbox);
  await untilPolled(outbox);
  expect(await comparePolled(outbox)).toEqual({ events: 1001, duplicates: 0 });
});

test.each([
  ['spaces', 'or der', 'EVENT_STREAM_NAME'],
  ['an ANSI sequence', '\u001b[31mred', 'EVENT_STREAM_NAME'],
  ['nothing', '', 'EVENT_NO_ROUTE'],
])(
  'an event whose stream name would hold %s halts the relay, and all before it is published',
  async (_, hostile, code) => {
    await using outbox = await createPolledOutbox();
    await outbox.insert();
    const bad = await outbox.insert({ aggregateType: hostile });
    await outbox.insert();
    const refusal = await refusedPoll(outbox);
    expect(refusal).toMatchObject({ code, exitCode: 68 });
    expect(refusal.message).toContain(bad);
    expect(refusal.result.stderr).not.toContain('\u001b[31m');
    expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
    expect(await outbox.query('SELECT FROM outbox')).toHaveLength(2);
    await startPolling(outbox, { WALRELAY_STREAM: outbox.stream() });
    await untilPolled(outbox);
    const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
    expect(entries[1]?.id).toBe(bad);
    expect(entries).toHaveLength(3);
  },
);

test('an event larger than the limit halts the relay; with a higher limit it arrives', async () => {
  await using outbox = await createPolledOutbox();
  await outbox.insert();
  await outbox.insert({ payload: JSON.stringify({ x: 'y'.repeat(3_000_000) }) });
  await outbox.insert();
  const refusal = await refusedPoll(outbox, { WALRELAY_EVENT_BYTES_MAX: '1MiB' });
  expect(refusal).toMatchObject({ code: 'EVENT_TOO_LARGE', exitCode: 68 });
  expect(refusal.result.stderr).not.toContain('yyyy');
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
  await startPolling(outbox);
  await untilPolled(outbox);
  expect(await comparePolled(outbox)).toEqual({ events: 3, duplicates: 0 });
});

test('with several workers a bad event halts all, and none of them publishes anything twice', async () => {
  await using outbox = await createPolledOutbox();
  await insertMany(outbox, 3000);
  await outbox.query("UPDATE outbox SET aggregatetype = 'b d' WHERE aggregateid = '1500'");
  const refusal = await refusedPoll(outbox, {
    WALRELAY_POLL_WORKERS: '4',
    WALRELAY_POLL_BATCH_EVENTS_MAX: '100',
  });
  expect(refusal).toMatchObject({ code: 'EVENT_STREAM_NAME', exitCode: 68 });
  const published = await outbox.redis.xlen(outbox.stream());
  expect(await outbox.query('SELECT FROM outbox')).toHaveLength(3000 - published);
});

test('a table, order column or mark column that is missing is named, with the statement that adds it', async () => {
  await using outbox = await createPolledOutbox();
  const table = await refusedPoll(outbox, { WALRELAY_TABLE: 'nowhere' });
  expect(table).toMatchObject({ code: 'TABLE_MISSING', exitCode: 65 });
  expect(table.message).toContain('"public"."nowhere"');

  const order = await refusedPoll(outbox, { WALRELAY_POLL_ORDER_COLUMN: 'created_at' });
  expect(order).toMatchObject({ code: 'COLUMN_MISSING', exitCode: 65 });
  expect(order.message).toContain('no column "created_at" to order by');
  expect(order.hint).toContain('WALRELAY_POLL_ORDER_COLUMN');

  const mark = { WALRELAY_POLL_AFTER: 'mark', WALRELAY_POLL_MARK_COLUMN: 'sent_at' };
  const marked = await refusedPoll(outbox, mark);
  expect(marked).toMatchObject({ code: 'COLUMN_MISSING', exitCode: 65 });
  const statement = 'ALTER TABLE "public"."outbox" ADD COLUMN "sent_at" timestamptz;';
  expect(marked.hint).toContain(statement);
  await outbox.query(statement);
  await outbox.query('ALTER TABLE history ADD COLUMN sent_at timestamptz');
  await (await startPolling(outbox, mark)).stop();

  const payload = await refusedPoll(outbox, { WALRELAY_COLUMN_PAYLOAD: 'body' });
  expect(payload).toMatchObject({ code: 'COLUMN_MISSING' });
  expect(payload.message).toContain('no column "body"');
});

test('a mark column that can not tell what was published is refused', async () => {
  await using outbox = await createPolledOutbox();
  const env = { WALRELAY_POLL_AFTER: 'mark' };
  await outbox.query('ALTER TABLE outbox ALTER published_at SET DEFAULT now()');
  const born = await refusedPoll(outbox, env);
  expect(born).toMatchObject({ code: 'COLUMN_UNSUITABLE', exitCode: 65 });
  expect(born.hint).toContain('DROP DEFAULT');
  await outbox.query('ALTER TABLE outbox DROP published_at, ADD published_at boolean');
  expect((await refusedPoll(outbox, env)).message).toContain('is of the type boolean');
});

test('a role with SELECT, DELETE and UPDATE of one column polls; without one of them it is refused with the GRANT', async () => {
  await using outbox = await createPolledOutbox();
  await outbox.query('DROP TRIGGER note ON outbox');
  await using role = await Role.create(outbox, 'LOGIN');
  const env = { DATABASE_URL: role.url };
  const refusal = await refusedPoll(outbox, env);
  expect(refusal).toMatchObject({ code: 'PG_PRIVILEGE', exitCode: 65 });
  expect(refusal.hint).toBe(`GRANT SELECT, DELETE, UPDATE ("id") ON "public"."outbox" TO "${role.name}";`);
  await outbox.query(refusal.hint);
  await outbox.insert();
  const daemon = await startPolling(outbox, env);
  await untilPolled(outbox);
  await daemon.stop();

  const marking = await refusedPoll(outbox, { ...env, WALRELAY_POLL_AFTER: 'mark' });
  expect(marking.hint).toBe(`GRANT UPDATE ("published_at") ON "public"."outbox" TO "${role.name}";`);
  await outbox.query(marking.hint);
  await outbox.query(`REVOKE DELETE, UPDATE (id) ON outbox FROM ${role.name}`);
  await outbox.insert();
  await startPolling(outbox, { ...env, WALRELAY_POLL_AFTER: 'mark' });
  await untilPolled(outbox);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(2);
});

test('a Redis user with five commands and its streams is enough; one without a stream stops the relay', async () => {
  await using outbox = await createPolledOutbox();
  const url = new URL(outbox.redisUrl);
  url.username = outbox.name;
  url.password = 'secret';
  const rules = `reset on >secret ~${outbox.stream('allowed')} +ping +info +evalsha +script|load +xadd`;
  await outbox.redis.call('ACL', 'SETUSER', outbox.name, ...rules.split(' '));
  const env = { REDIS_URL: url.href };
  await insertMany(outbox, 10, 'allowed');
  await insertMany(outbox, 1, 'forbidden');
  const refusal = await refusedPoll(outbox, env);
  expect(refusal).toMatchObject({ code: 'REDIS_PRIVILEGE', exitCode: 66 });
  // Redis looks at the keys before it runs the script.
  expect(await outbox.redis.xlen(outbox.stream('allowed'))).toBe(0);
  expect(await outbox.query('SELECT FROM outbox')).toHaveLength(11);
  await outbox.redis.call('ACL', 'SETUSER', outbox.name, `~${outbox.stream('forbidden')}`);
  await startPolling(outbox, env);
  await untilPolled(outbox);
  expect(await comparePolled(outbox)).toEqual({ events: 11, duplicates: 0 });
  await outbox.redis.call('ACL', 'DELUSER', outbox.name);
});

test('a trigger that keeps published rows stops the relay instead of publishing them for ever', async () => {
  await using outbox = await createPolledOutbox();
  await outbox.query("CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'");
  await outbox.query('CREATE TRIGGER keep BEFORE DELETE ON outbox FOR EACH ROW EXECUTE FUNCTION keep()');
  await insertMany(outbox, 5);
  const refusal = await refusedPoll(outbox);
  expect(refusal).toMatchObject({ code: 'ROWS_NOT_SETTLED', exitCode: 65 });
  expect(refusal.message).toContain('deleted 0 of 5');
  expect(await outbox.redis.xlen(outbox.stream())).toBe(5);
});

test('a table that is dropped while the relay runs stops it by name', async () => {
  await using outbox = await createPolledOutbox();
  const daemon = await startPolling(outbox);
  await outbox.query('DROP TABLE outbox');
  const refusal = refusalOf(await daemon.exited, outbox.env);
  expect(refusal).toMatchObject({ code: 'TABLE_MISSING', exitCode: 65 });
});

test('an index that is missing and a slot of the other relay are warned of', async () => {
  await using outbox = await createPolledOutbox();
  const first = await startPolling(outbox, {
    WALRELAY_POLL_AFTER: 'mark',
    WALRELAY_POLL_LISTEN_CHANNEL: 'c',
  });
  const create = /CREATE INDEX CONCURRENTLY ON [^;]*;/.exec(
    first.log.map((line) => line.msg).join('\n'),
  )?.[0];
  expect(create).toBe(
    'CREATE INDEX CONCURRENTLY ON "public"."outbox" ("position") WHERE "published_at" IS NULL;',
  );
  await first.stop();
  await outbox.query(create ?? '');
  await outbox.init();
  const second = await startPolling(outbox, { WALRELAY_POLL_AFTER: 'mark' });
  const warnings = second.log.filter((line) => line.level === 'warn').map((line) => line.msg);
  expect(warnings.join('\n')).not.toContain('CREATE INDEX');
  expect(warnings.join('\n')).toContain(`the replication slot ${outbox.name} is there`);
});

test('a batch that is larger than one claim of large rows is held in small claims, in bounded memory', async () => {
  await using outbox = await createPolledOutbox({ payloadType: 'text' });
  await outbox.query('DROP TRIGGER note ON outbox');
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT 'order', i::text, 't', repeat('x', 262144) FROM generate_series(1, 3000) i`,
  );
  const daemon = await startPolling(outbox);
  await untilPolled(outbox, 60_000);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(3000);
  const peakBytes = await peakRssBytes(daemon.pid);
  console.log(`3000 rows of 256 KiB: peak RSS ${Math.round(peakBytes / 1e6)} MB`);
  // All of them are 786 MB. What is held is some claims' worth, and the garbage of those before.
  expect(peakBytes).toBeLessThan(330e6);
});

async function peakRssBytes(pid: number): Promise<number> {
  const { readFile } = await import('node:fs/promises');
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return 1024 * Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]);
}
