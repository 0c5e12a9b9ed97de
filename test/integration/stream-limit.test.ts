import { expect, test } from 'vitest';
import { DEAD_LETTER_ENV, expectApart, letterKey, readLetters } from '../support/dead-letters.ts';
import { Oracle } from '../support/exactness.ts';
import { ClusterStreams, createClusterOutbox } from '../support/cluster-outbox.ts';
import { startCluster } from '../../dev/servers/redis-cluster.ts';
import { createOutbox } from '../support/servers.ts';

test('one stream too many halts the relay, after a restart too; known streams go on once there is room', async () => {
  await using outbox = await createOutbox({ env: { WALRELAY_STREAMS_MAX: '3' } });
  const oracle = await Oracle.create(outbox);
  const names = async () => (await outbox.redis.hkeys(`${outbox.metaKey}:names`)).toSorted();
  const first = outbox.start();
  await first.streaming();
  for (const aggregateType of ['a', 'b', 'a', 'c', 'b']) await outbox.insert({ aggregateType });
  await outbox.waitForLength(outbox.stream('b'), 2);
  expect(await names()).toEqual(['a', 'b', 'c'].map((kind) => outbox.stream(kind)));
  await outbox.insert({ aggregateType: 'd' });
  await outbox.insert({ aggregateType: 'a' });
  expect(await first.exited).toMatchObject({ exitCode: 68 });
  expect(first.log.at(-1)).toMatchObject({ err: { code: 'EVENT_STREAM_LIMIT' } });
  expect(await outbox.redis.exists(outbox.stream('d'))).toBe(0);

  const second = outbox.start();
  expect(await second.exited).toMatchObject({ exitCode: 68 });
  expect(await names()).toHaveLength(3);
  expect(await outbox.redis.xlen(outbox.stream('a'))).toBe(2);

  const third = outbox.start({ WALRELAY_STREAMS_MAX: '4' });
  await outbox.waitForLength(outbox.stream('a'), 3);
  await outbox.waitUntilConfirmed();
  await third.stop();
  // Fewer than there are: all of them go on.
  const fourth = outbox.start({ WALRELAY_STREAMS_MAX: '1' });
  for (const aggregateType of ['a', 'b', 'c', 'd']) await outbox.insert({ aggregateType });
  await outbox.waitUntilConfirmed();
  expect((await fourth.stop()).exitCode).toBe(0);
  expect(await oracle.read()).toHaveLength(11);
  expect(await names()).toHaveLength(4);
}, 60_000);

test('with dead letters, thousands of names make no more streams than may be, and the known ones lose nothing', async () => {
  await using outbox = await createOutbox({
    env: { ...DEAD_LETTER_ENV, WALRELAY_STREAMS_MAX: '2', WALRELAY_DEAD_LETTERS_MAX: '10000' },
  });
  const oracle = await Oracle.create(outbox);
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT CASE WHEN i < 2 OR i % 3 = 0 THEN 'kind' || i % 2 ELSE 'new' || i END, i::text, 't', '{}' FROM generate_series(0, 2999) i`,
  );
  await outbox.waitUntilConfirmed();
  const isNew = (_: unknown, i: number) => !(i < 2 || i % 3 === 0);
  const strangers = Array.from({ length: 3000 }, (_, i) => `new${i}`).filter(isNew);
  expect(await expectApart(outbox, oracle, strangers)).toEqual({ events: 1001, letters: 1999 });
  const [letter] = await readLetters(outbox.redis, letterKey(outbox));
  expect(letter).toMatchObject({ reason: 'EVENT_STREAM_LIMIT', 'column:aggregatetype': 'new2' });
  await daemon.stop();
}, 60_000);

test('on a cluster a name too many makes neither a stream nor a lane, of entries or of dead letters', async () => {
  await using cluster = await startCluster();
  await using outbox = await createClusterOutbox(cluster, {
    ...DEAD_LETTER_ENV,
    WALRELAY_STREAMS_MAX: '2',
  });
  const env = new ClusterStreams(outbox, cluster).streamEnv();
  const daemon = outbox.start(env);
  await daemon.streaming();
  const first = [];
  for (const aggregateType of ['a', 'b', 'c', 'a', 'd']) first.push(await outbox.insert({ aggregateType }));
  await outbox.waitUntilConfirmed();
  await daemon.stop();
  const again = outbox.start(env);
  await again.streaming();
  await outbox.insert({ aggregateType: 'b' });
  await outbox.insert({ aggregateType: 'e' });
  await outbox.waitUntilConfirmed();
  await again.stop();
  const letters = await readLetters(outbox.redis, letterKey(outbox));
  expect(letters.map((letter) => letter['column:aggregatetype'])).toEqual(['c', 'd', 'e']);
  expect(letters[0]?.['id']).toBe(first[2]);
  for (const tag of ['c', 'd', 'e']) {
    for (const key of [
      `${outbox.name}.{${tag}}`,
      `${outbox.metaKey}:{${tag}}`,
      `${letterKey(outbox)}:{${tag}}`,
    ])
      expect(await outbox.redis.exists(key)).toBe(0);
  }
  const lengths = ['a', 'b'].map((tag) => outbox.redis.xlen(`${outbox.name}.{${tag}}`));
  expect(await Promise.all(lengths)).toEqual([2, 2]);
}, 60_000);
