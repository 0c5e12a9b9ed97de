import { expect, inject, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { DEAD_LETTER_ENV, letterKey, readLetters } from '../support/dead-letters.ts';
import { listedOutboxes } from '../support/listed-outboxes.ts';
import type { Outbox } from '../support/outbox.ts';

/** Dead letters of outboxes whose entries are put together: CloudEvents and Debezium's. */

type Fields = Record<string, string>;

async function formatted(format: string, payloadType: string): Promise<Outbox> {
  const outbox = await listedOutboxes(
    { databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl'), env: DEAD_LETTER_ENV },
    () => format,
  );
  await outbox.query(`CREATE TABLE outbox (id bigserial PRIMARY KEY, aggregatetype text, aggregateid text, type text,
    payload ${payloadType}, created_at timestamptz DEFAULT now())`);
  await outbox.init();
  return outbox;
}

/** The entries of a stream, as latin1, without what is an event's own (id, position, times). */
async function entriesOf(outbox: Outbox, stream: string): Promise<Fields[]> {
  const reply = (await outbox.redis.callBuffer('XRANGE', stream, '-', '+')) as [Buffer, Buffer[]][];
  return reply.map(([, list]) => {
    const fields: Fields = {};
    for (let at = 0; at + 1 < list.length; at += 2)
      fields[list[at]!.toString()] = list[at + 1]!.toString('latin1').replaceAll(OWN_ATTRIBUTES, '');
    return Object.fromEntries(Object.entries(fields).filter(([name]) => !OWN_FIELDS.test(name)));
  });
}

const OWN_FIELDS = /^(id|lsn|seq|committed_at|redriven_at|ID|ce_id|ce_lsn|ce_seq|ce_time)$/;
const OWN_ATTRIBUTES = /"(id|lsn|seq|time)":"[^"]*",/g;

const JSON_PAYLOAD = { type: 'json', sql: `'{"total" : 12.50}'` };
const BYTEA_PAYLOAD = { type: 'bytea', sql: String.raw`'\x00ff0a22fe'` };
const TEXT_PAYLOAD = { type: 'text', sql: `'{"total" : 12.50}'` };

test.each([
  { format: 'format: cloudevents-structured', payload: JSON_PAYLOAD, shows: '"data":{"total" : 12.50}' },
  { format: 'format: cloudevents-structured', payload: TEXT_PAYLOAD, shows: String.raw`"data":"{\"total\"` },
  { format: 'format: cloudevents-structured', payload: BYTEA_PAYLOAD, shows: '"data_base64":"AP8KIv4="' },
  { format: 'format: cloudevents-binary', payload: JSON_PAYLOAD, shows: 'application/json' },
  {
    format: 'format: debezium\ndebeziumConverter: expanded-json',
    payload: JSON_PAYLOAD,
    shows: '{"total" : 12.50}',
  },
  { format: 'format: debezium\ndebeziumConverter: json', payload: BYTEA_PAYLOAD, shows: '"AP8KIv4="' },
])(
  '$format, a payload of $payload.type: a redriven event is the entry that it would have been',
  async ({ format, payload, shows }) => {
    await using outbox = await formatted(format, payload.type);
    const bad = outbox.stream('bad');
    await outbox.redis.set(bad, 'a string');
    const daemon = outbox.start();
    await daemon.streaming();
    // One that Redis refuses, one without a stream, and their twin that passes.
    await outbox.query(`INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
    SELECT type, 'A', 't', ${payload.sql} FROM unnest(ARRAY['bad', 'no name', 'order']) type`);
    await outbox.waitUntilConfirmed();
    expect(await readLetters(outbox.redis, letterKey(outbox))).toHaveLength(2);
    const cli = (...args: string[]) => runCli(['dead-letters', ...args], outbox.env);
    expect(await cli('redrive', '--all', '--to-stream', outbox.stream('redriven'))).toMatchObject({
      exitCode: 0,
    });
    const [twin] = await entriesOf(outbox, outbox.stream('order'));
    const redriven = await entriesOf(outbox, outbox.stream('redriven'));
    const asTwin = (name: string) =>
      Object.fromEntries(
        Object.entries(twin!).map(([field, value]) => [
          field,
          value.replaceAll('"order"', `"${name}"`).replace(/^order$/, name),
        ]),
      );
    expect(redriven).toEqual([asTwin('bad'), asTwin('no name')]);
    expect(Object.values(twin!).join('\n')).toContain(shows);
    expect((await daemon.stop()).exitCode).toBe(0);
  },
  60_000,
);

test('an event that is too large only in its format becomes a dead letter in its place, and passes once more is allowed', async () => {
  await using outbox = await formatted('format: cloudevents-structured', 'text');
  const limit = { WALRELAY_EVENT_BYTES_MAX: '64KiB' };
  const daemon = outbox.start(limit);
  await daemon.streaming();
  await outbox.query(`INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
    SELECT 'order', n::text, 't', CASE WHEN n = 3 THEN repeat(E'\\x01', 30000) ELSE 'small' END FROM generate_series(1, 5) n`);
  await outbox.waitUntilConfirmed();
  const [letter, ...others] = await readLetters(outbox.redis, letterKey(outbox));
  expect(others).toEqual([]);
  expect(letter).toMatchObject({ reason: 'EVENT_TOO_LARGE', seq: '2', id: '3', stream: outbox.stream() });
  expect(letter!['column:payload']).toBe('\u0001'.repeat(30_000));
  const idsIn = async () => {
    const entries = await outbox.redis.xrange(outbox.stream(), '-', '+');
    return entries.map(([, [, event]]) => (JSON.parse(event ?? '') as { id: string }).id);
  };
  expect(await idsIn()).toEqual(['1', '2', '4', '5']);
  const audit = await runCli(['audit', '--complete', '--json'], outbox.env);
  expect(JSON.parse(audit.stdout)).toMatchObject({ findings: { missing: 0 }, notes: { deadLettered: 1 } });

  const left = await runCli(['dead-letters', 'redrive', '--all'], { ...outbox.env, ...limit });
  expect(left.exitCode).toBe(71);
  expect(left.stderr).toContain('EVENT_TOO_LARGE');
  expect(await runCli(['dead-letters', 'redrive', '--all'], outbox.env)).toMatchObject({
    exitCode: 0,
    stderr: '',
  });
  expect(await idsIn()).toEqual(['1', '2', '4', '5', '3']);
  expect((await daemon.stop()).exitCode).toBe(0);
}, 60_000);
