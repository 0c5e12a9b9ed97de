import { expect, test } from 'vitest';
import { audit, entryOf, passSlack } from '../support/audit-cli.ts';
import { runCli } from '../support/cli.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/** Events in the stream `order`, of which all but the first are behind the slack. */
async function relayedEvents(outbox: Outbox, count: number): Promise<string[]> {
  await outbox.start().streaming();
  const ids = [await outbox.insert()];
  await outbox.waitForLength(outbox.stream(), 1);
  await passSlack(outbox);
  while (ids.length < count)
    ids.push(await outbox.insert({ payload: `{"n": ${ids.length}, "text": "ß漢"}` }));
  await outbox.waitForLength(outbox.stream(), count);
  return ids;
}

async function deleteEntries(outbox: Outbox, ids: readonly string[]): Promise<void> {
  for (const id of ids) await outbox.redis.xdel(outbox.stream(), await entryOf(outbox, id));
}

/** The ids and marks of a stream's entries, in order. */
async function entriesOf(outbox: Outbox, stream = outbox.stream()): Promise<Record<string, string>[]> {
  return (await outbox.redis.xrange(stream, '-', '+')).map(([, fields]) =>
    Object.fromEntries(
      fields.flatMap((name, index) => (index % 2 === 0 ? [[name, fields[index + 1] ?? '']] : [])),
    ),
  );
}

test('a repair without --yes changes nothing; with it, what is missing is appended in order, marked, and once', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 8);
  const gone = [ids[2], ids[5], ids[6]] as string[];
  await deleteEntries(outbox, gone);
  const asked = await audit(outbox, ['--repair']);
  expect(asked).toMatchObject({ exitCode: 71, report: { repair: { isDone: false, recovered: 0, left: 3 } } });
  expect(await outbox.redis.xlen(outbox.stream())).toBe(5);

  const done = await audit(outbox, ['--repair', '--yes']);
  expect(done).toMatchObject({ exitCode: 0, report: { repair: { isDone: true, recovered: 3, left: 0 } } });
  const recovered = (await entriesOf(outbox)).slice(5);
  expect(recovered.map(({ id }) => id)).toEqual(gone);
  expect(recovered[0]).toMatchObject({
    type: 'created',
    aggregate_type: 'order',
    aggregate_id: '1',
    payload: '{"n": 2, "text": "ß漢"}',
    recovered_at: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
  });
  expect(recovered[0]).not.toHaveProperty('lsn');

  const after = await audit(outbox, ['--repair', '--yes']);
  expect(after).toMatchObject({ exitCode: 0, report: { findings: { missing: 0 }, notes: { recovered: 3 } } });
  expect(await outbox.redis.xlen(outbox.stream())).toBe(8);
  // And the relay goes on as if nothing had been.
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 9);
});

test('two repairs of one loss at the same time append it once', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 6);
  await deleteEntries(outbox, ids.slice(2, 5));
  const results = await Promise.all(
    [1, 2, 3].map(() => runCli(['audit', '--repair', '--yes', '--json'], outbox.env)),
  );
  expect(await outbox.redis.xlen(outbox.stream())).toBe(6);
  expect((await audit(outbox)).exitCode).toBe(0);
  // Whoever came too late has said so, or has seen that nothing is missing.
  const failed = results.filter(({ exitCode }) => exitCode !== 0);
  expect(failed.filter(({ stderr }) => !stderr.includes('AUDIT_OVERTAKEN'))).toEqual([]);
  expect(failed.length).toBeLessThan(results.length);
});

test('a row that the slot may send again is not recovered', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 4);
  // The horizon of the slot can't pass a transaction that is open.
  const client = await outbox.pool.connect();
  try {
    await client.query('BEGIN');
    await client.query('SELECT pg_current_xact_id()');
    ids.push(await outbox.insert());
    await outbox.waitForLength(outbox.stream(), 5);
    await deleteEntries(outbox, [ids[4] as string]);
    const during = await audit(outbox, ['--repair', '--yes', '--wait', '1']);
    expect(during.report.repair?.recovered ?? 0).toBe(0);
    expect(await outbox.redis.xlen(outbox.stream())).toBe(4);
    await client.query('ROLLBACK');
  } finally {
    client.release();
  }
  expect(await audit(outbox, ['--repair', '--yes'])).toMatchObject({
    exitCode: 0,
    report: { repair: { recovered: 1, left: 0 } },
  });
});

test('a replay by id, aggregate or time goes to the same or another stream, marked, and is no double', async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 5);
  await outbox.insert({ aggregateId: 'A-7' });
  await outbox.waitForLength(outbox.stream(), 6);

  const plan = await runCli(['replay', '--id', ids[1] as string], outbox.env);
  expect(plan).toMatchObject({ exitCode: 0 });
  expect(plan.stdout).toContain('Nothing was changed. To append 1 event: the same command with --yes');
  expect(await outbox.redis.xlen(outbox.stream())).toBe(6);

  const byId = await runCli(['replay', '--id', `${ids[3]},${ids[1]}`, '--yes', '--rate', '50'], outbox.env);
  expect(byId).toMatchObject({ exitCode: 0 });
  expect(byId.stdout).toContain('Appended 2 events, marked with replayed_at.');
  const copies = (await entriesOf(outbox)).slice(6);
  expect(copies.map(({ id }) => id)).toEqual([ids[1], ids[3]]);
  expect(copies[0]).toHaveProperty('replayed_at');

  const other = `${outbox.name}.elsewhere`;
  const byAggregate = await runCli(
    [
      'replay',
      '--aggregate-type',
      'order',
      '--aggregate-id',
      '1',
      '--to-stream',
      other,
      '--limit',
      '3',
      '--yes',
      '--json',
    ],
    outbox.env,
  );
  expect(JSON.parse(byAggregate.stdout)).toMatchObject({ appended: 3, isCut: true, streams: { [other]: 3 } });
  expect((await entriesOf(outbox, other)).map(({ id }) => id)).toEqual(ids.slice(0, 3));

  const byTime = await runCli(['replay', '--last', '1h', '--dry-run', '--yes', '--json'], outbox.env);
  expect(JSON.parse(byTime.stdout)).toMatchObject({ events: 6, isDone: false, appended: 0 });

  expect(await audit(outbox)).toMatchObject({
    exitCode: 0,
    report: { findings: { missing: 0, duplicated: 0 }, notes: { replayed: 5 } },
  });
});

test('a replay of nothing, of an unknown id, or of what is no id is refused or says so', async () => {
  await using outbox = await createOutbox();
  const nothing = await runCli(['replay', '--yes'], outbox.env);
  expect(nothing.stderr).toContain('nothing says which events to replay');
  expect(nothing.exitCode).toBe(78);
  const unknown = await runCli(
    ['replay', '--id', '00000000-0000-4000-8000-000000000000', '--yes'],
    outbox.env,
  );
  expect(unknown.stdout).toContain('no row has the id');
  expect(unknown.exitCode).toBe(71);
  const wrong = await runCli(['replay', '--id', 'O-1', '--yes'], outbox.env);
  expect(wrong.stderr).toContain('CONFIG_INVALID');
  expect(wrong.stderr).toContain('Give ids as the id column of the table has them');
  expect(wrong.exitCode).toBe(78);
  const hostile = await runCli(
    ['replay', '--last', '1h', '--to-stream', outbox.metaKey, '--yes'],
    outbox.env,
  );
  expect(hostile.stderr).toContain('is the key of the lane state');
});

test("explain tells an event's life: row, position, entry, and where each group stands", async () => {
  await using outbox = await createOutbox();
  const ids = await relayedEvents(outbox, 3);
  const id = ids[1] as string;
  const entryId = await entryOf(outbox, id);
  const { redis } = outbox;
  await redis.xgroup('CREATE', outbox.stream(), 'billing', '0');
  await redis.xgroup('CREATE', outbox.stream(), 'mail', '0');
  await redis.xgroup('CREATE', outbox.stream(), 'late', '0');
  await redis.xreadgroup('GROUP', 'billing', 'worker-1', 'STREAMS', outbox.stream(), '>');
  await redis.xreadgroup('GROUP', 'mail', 'worker-2', 'STREAMS', outbox.stream(), '>');
  await redis.xack(outbox.stream(), 'mail', entryId);

  const { exitCode, stdout } = await runCli(['explain', id, '--json'], outbox.env);
  expect(exitCode).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({
    rows: [{ type: 'created', aggregateType: 'order', aggregateId: '1', stream: outbox.stream() }],
    entries: [
      {
        stream: outbox.stream(),
        entryId,
        origin: 'relayed',
        position: expect.stringMatching(/^0\/[0-9A-F]+ #0$/) as unknown,
        groups: [
          { group: 'billing', state: 'held', consumer: 'worker-1', deliveries: 1 },
          { group: 'late', state: 'not read' },
          { group: 'mail', state: 'passed' },
        ],
      },
    ],
    remarks: [],
  });
  const text = (await runCli(['explain', id], outbox.env)).stdout;
  expect(text).toContain('group billing holds it: consumer worker-1, delivered once');
  expect(text).not.toContain('"n"');

  await outbox.query('DELETE FROM outbox WHERE id = $1', [id]);
  const deleted = await runCli(['explain', id], outbox.env);
  expect(deleted).toMatchObject({ exitCode: 0 });
  expect(deleted.stdout).toContain('The row was deleted after it was relayed.');
});

test('explain says why there is no entry: missing, trimmed, not yet relayed, never heard of', async () => {
  await using outbox = await createOutbox();
  const relay = outbox.start();
  await relay.streaming();
  const ids = [await outbox.insert()];
  await outbox.waitForLength(outbox.stream(), 1);
  await passSlack(outbox);
  for (let count = 0; count < 3; count += 1) ids.push(await outbox.insert());
  await outbox.waitForLength(outbox.stream(), 4);
  const reason = async (id: string, part: string) => {
    await waitFor(`the reason "${part}"`, async () => {
      const { exitCode, stdout } = await runCli(['explain', id], outbox.env);
      expect(exitCode).toBe(71);
      return stdout.includes(part);
    });
  };
  await deleteEntries(outbox, [ids[2] as string]);
  await reason(ids[2] as string, 'It is missing');
  await outbox.redis.xtrim(outbox.stream(), 'MAXLEN', 1);
  await reason(ids[0] as string, 'older than the first entry');
  await reason('00000000-0000-4000-8000-000000000000', 'No row and no entry has this id');
  await relay.stop();
  await reason(await outbox.insert(), 'It is not surely relayed yet');
});

test('beside a relay, what is missing is logged as an error and counted, each event once', async () => {
  await using outbox = await createOutbox();
  const daemon = outbox.start({ WALRELAY_AUDIT_INTERVAL_MS: '300' });
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  await passSlack(outbox);
  const gone = await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 2);
  await deleteEntries(outbox, [gone]);
  await outbox.insert();
  const line = await daemon.waitForLog('events are missing from the streams');
  expect(line).toMatchObject({
    level: 'error',
    component: 'audit',
    examples: { missing: [{ eventId: gone, stream: outbox.stream() }] },
  });
  const url = await daemon.httpUrl();
  const metric = async (name: string) => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  };
  const rows = await metric('walrelay_audit_rows_total');
  await waitFor('two more rounds', async () => (await metric('walrelay_audit_rows_total')) > 2 * rows);
  expect(await metric('walrelay_audit_missing_total')).toBe(1);
  expect(await metric('walrelay_audit_findings{kind="missing"}')).toBe(1);
  expect(await metric('walrelay_audit_failures_total')).toBe(0);
  expect(daemon.log.filter(({ msg }) => msg === 'events are missing from the streams')).toHaveLength(1);
  expect(await daemon.stop()).toMatchObject({ exitCode: 0 });
});

test('an audit beside a relay that may not read the table says so once, and the relay goes on', async () => {
  await using outbox = await createOutbox();
  await outbox.query('ALTER TABLE outbox RENAME COLUMN created_at TO inserted_at');
  const daemon = outbox.start({ WALRELAY_AUDIT_INTERVAL_MS: '100' });
  const line = await daemon.waitForLog('an audit failed; the relay goes on');
  expect(line).toMatchObject({ level: 'warn', code: 'COLUMN_MISSING' });
  await daemon.streaming();
  await outbox.insert();
  await outbox.waitForLength(outbox.stream(), 1);
  expect(daemon.log.filter(({ msg }) => msg.startsWith('an audit failed'))).toHaveLength(1);
});
