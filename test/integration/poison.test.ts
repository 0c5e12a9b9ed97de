import { expect, test } from 'vitest';
import { parseLsn } from '../../src/core/lsn.ts';
import { runCli } from '../support/cli.ts';
import { expectExact, Oracle, readEntries } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';

/** Two transactions open at once, both commit: the end of the first is the commit LSN of the second. */
async function commitAdjacent(outbox: Outbox, first: string, second: string): Promise<void> {
  const insert = "INSERT INTO outbox (aggregatetype, aggregateid, type, payload) VALUES ($1, '1', 't', '{}')";
  const [a, b] = [await outbox.pool.connect(), await outbox.pool.connect()];
  await a.query('BEGIN');
  await b.query('BEGIN');
  await a.query(insert, [first]);
  await b.query(insert, [second]);
  await Promise.all([a.query('COMMIT'), b.query('COMMIT')]);
  a.release();
  b.release();
}

test('adjacent commits, the second refused by Redis: the relay halts, and once mended the second arrives', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await outbox.redis.set(outbox.stream('bad'), 'a string');
  // Several pairs, so that some are truly adjacent whatever else writes WAL.
  const daemon = outbox.start();
  await daemon.streaming();
  for (let pair = 0; pair < 5; pair += 1) await commitAdjacent(outbox, 'good', 'good');
  await commitAdjacent(outbox, 'good', 'bad');
  const result = await daemon.exited;
  expect(result.exitCode).toBe(68);
  const fatal = daemon.log.findLast((line) => line.level === 'fatal');
  expect(fatal?.err?.code).toBe('EVENT_REFUSED');
  expect(fatal?.err?.message).toContain(outbox.stream('bad'));

  // It stays that way until somebody mends it, and nothing is lost by trying.
  const again = await outbox.start().exited;
  expect(again.exitCode).toBe(68);
  await outbox.redis.rename(outbox.stream('bad'), `${outbox.name}:moved`);
  await outbox.insert({ aggregateType: 'good' });
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(13);
  await outbox.redis.del(`${outbox.name}:moved`);
});

test('an event refused in the middle of a transaction halts in front of it; what is before it is never doubled', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  await outbox.redis.lpush(outbox.stream('kind7'), 'a list');
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT 'kind' || CASE WHEN i = 700 THEN 7 ELSE i % 3 END, i::text, 't', '{}' FROM generate_series(0, 1999) i`,
  );
  const before = await outbox.confirmedLsn();
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const result = await outbox.start().exited;
    expect(result.exitCode).toBe(68);
    expect(result.stderr).toContain('#700');
    const lengths = await Promise.all(
      [0, 1, 2].map((kind) => outbox.redis.xlen(outbox.stream(`kind${kind}`))),
    );
    expect(lengths.reduce((sum, length) => sum + length)).toBe(700);
  }
  expect(await outbox.confirmedLsn()).toBe(before);
  await outbox.redis.del(outbox.stream('kind7'));
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(2000);
});

test.each([
  ['a line break', 'or\nder', 'EVENT_STREAM_NAME'],
  ['spaces', 'or der', 'EVENT_STREAM_NAME'],
  ['a quote', `or'der"`, 'EVENT_STREAM_NAME'],
  ['an ANSI sequence', '\u001b[31mred', 'EVENT_STREAM_NAME'],
  ['300 characters', 'x'.repeat(300), 'EVENT_STREAM_NAME'],
  ['nothing', '', 'EVENT_NO_ROUTE'],
])(
  'an event whose stream name would hold %s halts the relay, and all before it is delivered and confirmed',
  async (_, hostile, code) => {
    await using outbox = await createOutbox();
    const oracle = await Oracle.create(outbox);
    const daemon = outbox.start();
    await daemon.streaming();
    await outbox.insert();
    const [row] = await outbox.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
    await outbox.insert({ aggregateType: hostile });
    await outbox.insert();
    const result = await daemon.exited;
    expect(result.exitCode).toBe(68);
    expect(daemon.log.findLast((line) => line.level === 'fatal')?.err?.code).toBe(code);
    // The name is somebody's data: escaped in the log.
    expect(result.stderr).not.toContain('\u001b[31m');
    expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
    expect(parseLsn(await outbox.confirmedLsn()) >= parseLsn(row?.lsn ?? '')).toBe(true);
    // A template that every event can fill is the way on; nothing was lost.
    const mended = outbox.start({ WALRELAY_STREAM: outbox.stream() });
    await mended.streaming();
    await outbox.waitUntilConfirmed();
    const entries = (await readEntries(outbox.redis, outbox.name)).get(outbox.stream()) ?? [];
    const expected = await oracle.read();
    expect(entries.map((entry) => entry.id)).toEqual(expected.map((event) => event.id));
  },
);

test('an event that would be stored under the key of the lane state halts the relay', async () => {
  await using outbox = await createOutbox({ env: { WALRELAY_STREAM: '${aggregatetype}' } });
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.insert({ aggregateType: outbox.metaKey });
  expect((await daemon.exited).exitCode).toBe(68);
  expect(await outbox.redis.type(outbox.metaKey)).toBe('hash');
});

test('an event larger than the limit halts the relay before it is held in memory; with a higher limit it arrives', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start({ WALRELAY_EVENT_BYTES_MAX: '1MiB' });
  await daemon.streaming();
  await outbox.insert();
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     VALUES ('order', '1', 't', jsonb_build_object('x', repeat('y', 5000000)))`,
  );
  await outbox.insert();
  const result = await daemon.exited;
  expect(result.exitCode).toBe(68);
  expect(daemon.log.findLast((line) => line.level === 'fatal')?.err?.code).toBe('EVENT_TOO_LARGE');
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  expect(await expectExact(outbox, oracle)).toBe(3);
});

test('a column that is dropped while events wait halts the relay with the column named', async () => {
  await using outbox = await createOutbox();
  await outbox.insert();
  await outbox.query('ALTER TABLE outbox DROP COLUMN type');
  const result = await runCli(['run'], { ...outbox.env, WALRELAY_HTTP_PORT: 'off' });
  expect(result.exitCode).toBe(65);
  expect(result.stderr).toContain('COLUMN_MISSING');
  expect(result.stderr).toContain('type');
});
