import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RedisCluster, startCluster } from '../../dev/servers/redis-cluster.ts';
import { runCli } from '../support/cli.ts';
import { ClusterStreams, createClusterOutbox } from '../support/cluster-outbox.ts';
import { DEAD_LETTER_ENV, letterKey, readLetters } from '../support/dead-letters.ts';
import { Oracle } from '../support/exactness.ts';
import { waitFor } from '../support/wait-for.ts';

let cluster: RedisCluster;

beforeAll(async () => {
  cluster = await startCluster();
});

afterAll(async () => {
  await cluster?.dispose();
});

test('on a cluster each lane has its dead letters; killed or not, each event is in one of them or in its stream', async () => {
  await using outbox = await createClusterOutbox(cluster);
  const streams = new ClusterStreams(outbox, cluster);
  const oracle = await Oracle.create(outbox);
  const env = { ...streams.streamEnv(), ...DEAD_LETTER_ENV };
  const blocked = `${outbox.name}.{bad}`;
  await outbox.redis.set(blocked, 'a string');
  const base = letterKey(outbox);
  const ofLane = `${base}:{bad}`;
  const insert = (from: number, to: number) =>
    outbox.query(
      `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
       SELECT CASE i % 20 WHEN 3 THEN 'bad' WHEN 5 THEN '' ELSE (ARRAY['order', 'invoice', 'bad2'])[1 + i % 3] END, i::text, 't', '{}'
       FROM generate_series(${from}, ${to}) i`,
    );
  for (let life = 0; life < 4; life += 1) {
    const daemon = outbox.start(env);
    await daemon.streaming();
    const before = await outbox.redis.xlen(ofLane);
    await insert(life * 100, life * 100 + 99);
    await waitFor('a dead letter of a refused event', async () => (await outbox.redis.xlen(ofLane)) > before);
    await daemon.kill();
  }
  const daemon = outbox.start(env);
  await daemon.streaming();
  await outbox.waitUntilConfirmed();

  const all = await oracle.read();
  const positionsOf = (type: string) =>
    all.filter(({ aggregateType }) => aggregateType === type).map(({ lsn, seq }) => `${lsn} #${seq}`);
  const letterPositions = async (key: string) =>
    (await readLetters(outbox.redis, key)).map(({ lsn, seq }) => `${lsn} #${seq}`);
  expect(await letterPositions(ofLane)).toEqual(positionsOf('bad'));
  expect(await letterPositions(base)).toEqual(positionsOf(''));
  for (const type of ['order', 'invoice', 'bad2'])
    expect(await letterPositions(`${outbox.name}.{${type}}`)).toEqual(positionsOf(type));

  const cli = (...args: string[]) => runCli(['dead-letters', ...args], { ...outbox.env, ...env });
  const listed = JSON.parse((await cli('list', '--json')).stdout) as { letter: string; reason: string }[];
  expect(listed).toHaveLength(40);
  const own = listed.filter(({ letter }) => letter.endsWith('@bad'));
  expect(own).toHaveLength(20);
  await outbox.redis.del(blocked);
  // In one lane, in one script; and across lanes.
  expect(await cli('redrive', own[0]!.letter)).toMatchObject({ exitCode: 0 });
  expect(await cli('redrive', own[1]!.letter, '--to-stream', `${outbox.name}.{order}`)).toMatchObject({
    exitCode: 0,
  });
  expect(await outbox.redis.xlen(blocked)).toBe(1);
  expect(await outbox.redis.xlen(ofLane)).toBe(18);
  expect(await outbox.redis.xlen(`${outbox.name}.{order}`)).toBe(positionsOf('order').length + 1);
  expect(await cli('discard', '--all', '--yes')).toMatchObject({
    exitCode: 0,
    stdout: 'Discarded 38 dead letters.\n',
  });
  expect((await daemon.stop()).exitCode).toBe(0);
}, 120_000);
