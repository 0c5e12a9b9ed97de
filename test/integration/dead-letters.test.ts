import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { DEAD_LETTER_ENV, expectApart, letterKey, readLetters } from '../support/dead-letters.ts';
import { Oracle } from '../support/exactness.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

const env = DEAD_LETTER_ENV;

test('events without a stream go to the dead letters in their place, and all others to their streams in order', async () => {
  await using outbox = await createOutbox({ env });
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT CASE i % 50 WHEN 7 THEN 'or der' WHEN 9 THEN '' ELSE 'kind' || i % 3 END, i::text, 't', jsonb_build_object('n', i)
     FROM generate_series(0, 999) i`,
  );
  await outbox.waitUntilConfirmed();
  expect(await expectApart(outbox, oracle, ['or der', ''])).toEqual({ events: 960, letters: 40 });

  const [first, second] = await readLetters(outbox.redis, letterKey(outbox));
  expect(first).toMatchObject({
    reason: 'EVENT_STREAM_NAME',
    outbox: 'public.outbox',
    table: 'public.outbox',
    seq: '7',
    'column:aggregatetype': 'or der',
    'column:aggregateid': '7',
    'column:type': 't',
    'column:payload': '{"n": 7}',
  });
  expect(first!['id']).toBe(first!['column:id']);
  expect(first!['stream']).toBeUndefined();
  expect(second).toMatchObject({ reason: 'EVENT_NO_ROUTE', seq: '9', 'column:aggregatetype': '' });

  const warned = daemon.log.filter(({ msg }) => msg === 'an event went to the dead letters');
  expect(warned).toHaveLength(40);
  expect(warned[0]).toMatchObject({ level: 'warn', reason: 'EVENT_STREAM_NAME', seq: 7 });
  expect(JSON.stringify(warned)).not.toContain('{\\"n\\"');
  const metrics = await (await fetch(`${await daemon.httpUrl()}/metrics`)).text();
  expect(metrics).toContain('walrelay_dead_letters_total{reason="EVENT_NO_ROUTE"} 20');
  expect((await fetch(`${await daemon.httpUrl()}/readyz`)).status).toBe(200);

  // Known to whoever compares: nothing is missing.
  const audit = await runCli(['audit', '--complete', '--json'], outbox.env);
  expect(JSON.parse(audit.stdout)).toMatchObject({
    findings: { missing: 0, foreign: 0 },
    notes: { deadLettered: 40, unroutable: 0 },
  });
  expect(audit.exitCode).toBe(0);
  const explained = await runCli(['explain', first!['id'] as string], outbox.env);
  expect(explained.stdout).toContain(
    `It stands in the dead letters as ${first!.entryId} (EVENT_STREAM_NAME)`,
  );
}, 60_000);

test('an event that Redis refuses in the middle of a transaction is taken aside; the others keep their order', async () => {
  await using outbox = await createOutbox({ env });
  const oracle = await Oracle.create(outbox);
  await outbox.redis.lpush(outbox.stream('kind7'), 'a list');
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT 'kind' || CASE WHEN i IN (0, 700, 701, 1999) THEN 7 ELSE i % 3 END, i::text, 't', '{}' FROM generate_series(0, 1999) i`,
  );
  await outbox.insert({ aggregateType: 'kind1' });
  await outbox.waitUntilConfirmed();
  const letters = await readLetters(outbox.redis, letterKey(outbox));
  expect(letters.map(({ reason, seq, stream }) => ({ reason, seq, stream }))).toEqual(
    ['0', '700', '701', '1999'].map((seq) => ({
      reason: 'EVENT_REFUSED',
      seq,
      stream: outbox.stream('kind7'),
    })),
  );
  await outbox.redis.del(outbox.stream('kind7'));
  expect(await expectApart(outbox, oracle, ['kind7'])).toEqual({ events: 1997, letters: 4 });
  expect((await daemon.stop()).exitCode).toBe(0);
}, 60_000);

test('too many dead letters within the time halt the relay in front of the next, also when it is started again', async () => {
  await using outbox = await createOutbox({ env: { ...env, WALRELAY_DEAD_LETTERS_MAX: '5' } });
  const daemon = outbox.start();
  await daemon.streaming();
  for (let event = 0; event < 8; event += 1) {
    await outbox.insert();
    await outbox.insert({ aggregateType: '' });
  }
  const halted = await daemon.exited;
  expect(halted.exitCode).toBe(68);
  expect(daemon.log.findLast(({ level }) => level === 'fatal')?.err?.code).toBe('DEAD_LETTER_LIMIT');
  expect(await outbox.redis.xlen(letterKey(outbox))).toBe(5);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(6);
  const again = await outbox.start().exited;
  expect(again.exitCode).toBe(68);
  expect(await outbox.redis.xlen(letterKey(outbox))).toBe(5);
  // When the time is over, or more are allowed, it goes on where it stopped.
  await outbox.start({ WALRELAY_DEAD_LETTERS_MAX: '100' }).streaming();
  await outbox.waitUntilConfirmed();
  expect(await outbox.redis.xlen(letterKey(outbox))).toBe(8);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(8);
}, 60_000);

test('refusals count for the limit too', async () => {
  await using outbox = await createOutbox({ env: { ...env, WALRELAY_DEAD_LETTERS_MAX: '2' } });
  await outbox.redis.set(outbox.stream('bad'), 'a string');
  const daemon = outbox.start();
  await daemon.streaming();
  for (let event = 0; event < 4; event += 1) await outbox.insert({ aggregateType: 'bad' });
  expect((await daemon.exited).exitCode).toBe(68);
  expect(daemon.log.findLast(({ level }) => level === 'fatal')?.err?.code).toBe('DEAD_LETTER_LIMIT');
  expect(await outbox.redis.xlen(letterKey(outbox))).toBe(2);
}, 60_000);

test('a dead-letter stream that takes nothing halts the relay, at its start or under way, and nothing is lost', async () => {
  await using outbox = await createOutbox({ env });
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.redis.set(letterKey(outbox), 'a string');
  await outbox.insert();
  await outbox.insert({ aggregateType: '' });
  await outbox.insert();
  expect((await daemon.exited).exitCode).toBe(68);
  const fatal = daemon.log.findLast(({ level }) => level === 'fatal');
  expect(fatal?.err?.code).toBe('DEAD_LETTER_REFUSED');
  expect(fatal?.err?.message).toContain(letterKey(outbox));
  expect(await outbox.redis.xlen(outbox.stream())).toBe(1);
  const again = outbox.start();
  expect((await again.exited).exitCode).toBe(68);
  expect(again.log.findLast(({ level }) => level === 'fatal')?.err?.code).toBe('DEAD_LETTER_REFUSED');
  await outbox.redis.del(letterKey(outbox));
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  expect(await expectApart(outbox, oracle, [''])).toEqual({ events: 2, letters: 1 });
}, 60_000);

test('no event is routed into the dead letters by its data', async () => {
  await using outbox = await createOutbox({ env: { ...env, WALRELAY_STREAM: '${aggregatetype}' } });
  await outbox.start().streaming();
  await outbox.insert({ aggregateType: letterKey(outbox) });
  await outbox.waitUntilConfirmed();
  const [letter] = await readLetters(outbox.redis, letterKey(outbox));
  expect(letter).toMatchObject({ reason: 'EVENT_STREAM_NAME', 'column:aggregatetype': letterKey(outbox) });
}, 60_000);

test('listed, shown, redriven and discarded from the command line', async () => {
  await using outbox = await createOutbox({ env });
  await outbox.redis.set(outbox.stream('bad'), 'a string');
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.insert({ aggregateType: 'bad', aggregateId: 'B', payload: '{"secret": 1}' });
  await outbox.insert({ aggregateType: '', aggregateId: 'N' });
  await outbox.insert({ aggregateType: 'bad' });
  await outbox.waitUntilConfirmed();
  const letters = await readLetters(outbox.redis, letterKey(outbox));
  const [bad, nameless, other] = letters.map(({ entryId }) => entryId) as [string, string, string];
  // Postgres is not asked, nor need it be known.
  const { DATABASE_URL: _, ...redisEnv } = outbox.env;
  const cli = (...args: string[]) => runCli(['dead-letters', ...args], redisEnv);

  const list = await cli('list');
  expect(list).toMatchObject({ exitCode: 0, stderr: '' });
  expect(list.stdout.split('\n')).toHaveLength(5);
  expect(list.stdout).toMatch(new RegExp(`${bad} .* EVENT_REFUSED .* ${outbox.stream('bad')}\n`));
  const listed = JSON.parse(
    (await cli('list', '--reason', 'EVENT_NO_ROUTE', '--last', '1h', '--json')).stdout,
  );
  expect(listed).toMatchObject([
    { letter: nameless, reason: 'EVENT_NO_ROUTE', seq: 0, outbox: 'public.outbox' },
  ]);
  expect(JSON.parse((await cli('list', '--to', '2000-01-01', '--json')).stdout)).toEqual([]);

  const shown = await cli('show', bad);
  expect(shown.stdout).toContain('aggregateid: "B"');
  expect(shown.stdout).not.toContain('secret');
  expect((await cli('show', bad, '--payload')).stdout).toContain('payload: "{\\"secret\\": 1}"');
  expect(JSON.parse((await cli('show', bad, '--json')).stdout)).toMatchObject({
    columns: { aggregateid: { text: 'B' }, payload: { bytes: 13 } },
  });
  expect(await cli('show', '1-1')).toMatchObject({ exitCode: 71 });
  expect(await cli('show', 'x')).toMatchObject({ exitCode: 78 });

  // Where they can't pass still, they stay.
  const refused = await cli('redrive', '--all');
  expect(refused.exitCode).toBe(71);
  expect(refused.stderr).toContain(`${bad}: Redis refused it for ${outbox.stream('bad')}: WRONGTYPE`);
  expect(refused.stderr).toContain(`${nameless}: EVENT_NO_ROUTE`);
  expect(await outbox.redis.xlen(letterKey(outbox))).toBe(3);

  await outbox.redis.del(outbox.stream('bad'));
  expect(await cli('redrive', bad)).toMatchObject({ exitCode: 0 });
  const [redriven] = await readLetters(outbox.redis, outbox.stream('bad'));
  expect(redriven).toMatchObject({ aggregate_id: 'B', payload: '{"secret": 1}', type: 'created' });
  expect(redriven!['redriven_at']).toMatch(/^\d{4}-/);
  expect(redriven!['lsn']).toBeUndefined();
  // Once is once.
  expect(await cli('redrive', bad)).toMatchObject({ exitCode: 71 });
  expect(await outbox.redis.xlen(outbox.stream('bad'))).toBe(1);
  expect(await cli('redrive', nameless, '--to-stream', outbox.stream('lost'))).toMatchObject({ exitCode: 0 });
  expect(await outbox.redis.xlen(outbox.stream('lost'))).toBe(1);
  expect(await cli('redrive', other, '--to-stream', letterKey(outbox))).toMatchObject({ exitCode: 78 });

  const audit = JSON.parse((await runCli(['audit', '--complete', '--json'], outbox.env)).stdout);
  expect(audit).toMatchObject({ findings: { missing: 0 }, notes: { redriven: 2, deadLettered: 1 } });

  expect((await cli('discard', other)).stdout).toContain('Nothing was changed');
  expect(await outbox.redis.xlen(letterKey(outbox))).toBe(1);
  expect(await cli('discard', other, '--yes')).toMatchObject({
    exitCode: 0,
    stdout: 'Discarded 1 dead letter.\n',
  });
  expect(await cli('discard', other, '--yes')).toMatchObject({ exitCode: 71 });
  expect((await cli('list')).stdout).toBe('No dead letters.\n');
  expect(await cli('discard', '--yes')).toMatchObject({ exitCode: 78 });
}, 120_000);

test('a bytea comes back from the dead letters byte for byte, and NULL as no field', async () => {
  await using outbox = await createOutbox({ isInitialized: false, env });
  await outbox.query(
    'CREATE TABLE outbox (id bigserial PRIMARY KEY, aggregatetype text, aggregateid text, type text, payload bytea, created_at timestamptz DEFAULT now())',
  );
  await outbox.init();
  await outbox.start().streaming();
  await outbox.query(String.raw`INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
    VALUES (NULL, 'a', NULL, '\x00ff0a2200fe')`);
  await outbox.waitUntilConfirmed();
  const [letter] = await readLetters(outbox.redis, letterKey(outbox));
  expect(JSON.parse(letter!['nulls'] as string).sort()).toEqual(['aggregatetype', 'type']);
  const result = await runCli(['dead-letters', 'redrive', '--all'], {
    ...outbox.env,
    WALRELAY_STREAM: outbox.stream('all'),
  });
  expect(result).toMatchObject({ exitCode: 0, stderr: '' });
  const [[, fields]] = (await outbox.redis.callBuffer('XRANGE', outbox.stream('all'), '-', '+')) as [
    [Buffer, Buffer[]],
  ];
  const names = fields.filter((_, place) => place % 2 === 0).map(String);
  expect(names).toEqual(['id', 'aggregate_id', 'payload', 'redriven_at']);
  expect(fields[5]).toEqual(Buffer.from([0, 0xff, 0x0a, 0x22, 0, 0xfe]));
}, 60_000);

test('a stop while an event is being taken aside ends in order, and the next start takes it aside', async () => {
  await using outbox = await createOutbox({ env });
  const oracle = await Oracle.create(outbox);
  await outbox.redis.set(outbox.stream('bad'), 'a string');
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.insert({ aggregateType: 'bad' });
  await waitFor('a refusal', () => daemon.log.some(({ err }) => err?.code === 'EVENT_REFUSED'));
  expect([0, 74]).toContain((await daemon.stop()).exitCode);
  await outbox.start().streaming();
  await outbox.waitUntilConfirmed();
  await outbox.redis.del(outbox.stream('bad'));
  expect(await expectApart(outbox, oracle, ['bad'])).toEqual({ events: 0, letters: 1 });
}, 60_000);
