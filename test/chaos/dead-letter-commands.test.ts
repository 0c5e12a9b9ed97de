import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startCluster } from '../../dev/servers/redis-cluster.ts';
import { chaosSeed, Random } from '../support/chaos-random.ts';
import { Links } from '../support/chaos-links.ts';
import { runCli } from '../support/cli.ts';
import { createClusterOutbox } from '../support/cluster-outbox.ts';
import { DEAD_LETTER_ENV, letterKey, readLetters } from '../support/dead-letters.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';

/** `walrelay dead-letters redrive` and `discard`, killed in the middle: what docs/dead-letters.md promises of them, and no more. */

const LETTERS = 60;
const KILLS = Number(process.env['CHAOS_KILLS'] ?? 24);
const ENV = { ...DEAD_LETTER_ENV, WALRELAY_DEAD_LETTERS_MAX: '10000' };

/** Events without a stream, as dead letters; and some that passed. Returns their ids, in the order of the letters. */
async function writeLetters(outbox: Outbox): Promise<string[]> {
  const daemon = outbox.start();
  await daemon.streaming();
  await outbox.query(
    `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
     SELECT CASE n % 3 WHEN 0 THEN 'order' ELSE 'no name' END, n::text, 't', '{}' FROM generate_series(1, $1::int) n`,
    [(LETTERS * 3) / 2],
  );
  await outbox.waitUntilConfirmed();
  expect((await daemon.stop()).exitCode).toBe(0);
  const ids = await letterIds(outbox);
  expect(ids).toHaveLength(LETTERS);
  return ids;
}

async function letterIds(outbox: Outbox): Promise<string[]> {
  return (await readLetters(outbox.redis, letterKey(outbox))).map((letter) => letter['id'] ?? '');
}

async function redrivenIds(outbox: Outbox, stream: string): Promise<string[]> {
  return (await readLetters(outbox.redis, stream)).map((entry) => {
    expect(entry['redriven_at']).toBeDefined();
    return entry['id'] ?? '';
  });
}

/**
 * Starts the command and kills it at its n-th message: in front of the server, or when the server has done it and the answer
 * has not come back. False: it came to its end before.
 */
async function killAt(
  outbox: Outbox,
  args: readonly string[],
  { nth, stage }: { readonly nth: number; readonly stage: 'before' | 'executed' },
): Promise<boolean> {
  await using links = await Links.open(outbox);
  let count = 0;
  const at = (chunk: Buffer): Buffer => {
    count += 1;
    if (count < nth) return chunk;
    command.signal('SIGKILL');
    return Buffer.alloc(0);
  };
  links.redis.tap = () => (stage === 'before' ? { onUpstream: at } : { onDownstream: at });
  const command = outbox.start(links.env, { args: ['dead-letters', ...args] });
  const { signal, exitCode, stderr } = await command.exited;
  // 71: there was nothing left to do.
  if (signal === null && exitCode !== 0 && exitCode !== 71)
    throw new Error(`it exited with ${exitCode}:\n${stderr}`);
  return signal === 'SIGKILL';
}

/** Kills it over and over until it has come to its end; `check` after each. Returns how often it was killed. */
async function killUntilDone(
  random: Random,
  outbox: Outbox,
  args: readonly string[],
  check: () => Promise<void>,
): Promise<number> {
  for (let kills = 0; ; kills += 1) {
    // Past the messages of the connection and the look at the letters, mostly.
    const isLast = kills >= KILLS;
    const nth = isLast ? Number.POSITIVE_INFINITY : random.int(1, 14);
    const isKilled = await killAt(outbox, args, { nth, stage: random.pick(['before', 'executed']) });
    await check();
    if (!isKilled) return kills;
  }
}

test('a redrive that is killed at any message: each event stands in the dead letters or in its stream, once, in order', async () => {
  const random = new Random(chaosSeed('redrive killed'));
  await using outbox = await createOutbox({ env: ENV });
  const all = await writeLetters(outbox);
  const target = outbox.stream('redriven');
  const passed = await outbox.redis.xlen(outbox.stream());
  let least = 0;
  const kills = await killUntilDone(random, outbox, ['redrive', '--all', '--to-stream', target], async () => {
    const [redriven, left] = [await redrivenIds(outbox, target), await letterIds(outbox)];
    expect([...redriven, ...left]).toEqual(all);
    expect(redriven.length).toBeGreaterThanOrEqual(least);
    least = redriven.length;
  });
  expect(await redrivenIds(outbox, target)).toEqual(all);
  expect(await outbox.redis.xlen(outbox.stream())).toBe(passed);
  console.log(`redrive: killed ${kills} times, ${all.length} letters, each once`);
  expect(kills).toBeGreaterThan(5);
}, 300_000);

test('a discard that is killed at any message: what is left is whole, and nothing is appended anywhere', async () => {
  const random = new Random(chaosSeed('discard killed'));
  await using outbox = await createOutbox({ env: ENV });
  const all = await writeLetters(outbox);
  const before = await readLetters(outbox.redis, letterKey(outbox));
  const streams = async () => {
    const names = (await outbox.redis.keys(`${outbox.name}.*`)).toSorted();
    return Promise.all(names.map(async (name) => [name, await outbox.redis.xlen(name)]));
  };
  const streamsBefore = await streams();
  const kills = await killUntilDone(random, outbox, ['discard', '--all', '--yes'], async () => {
    const left = await readLetters(outbox.redis, letterKey(outbox));
    expect(left).toEqual(left.length === 0 ? [] : before.slice(-left.length));
    expect(await streams()).toEqual(streamsBefore);
  });
  expect(await letterIds(outbox)).toEqual([]);
  console.log(`discard: killed ${kills} times, ${all.length} letters`);
  expect(kills).toBeGreaterThan(5);
}, 300_000);

/** The node of a cluster that has a key. */
async function nodeOf(outbox: Outbox, key: string): Promise<Redis> {
  const cluster = outbox.redis as unknown as { nodes(role: 'master'): Redis[] };
  for (const node of cluster.nodes('master')) {
    if (
      await node.exists(key).then(
        () => true,
        () => false,
      )
    )
      return node;
  }
  throw new Error(`no node has ${key}`);
}

test('on a cluster, from lane to lane: killed in between, the event comes twice; killed elsewhere once; none is lost', async () => {
  const random = new Random(chaosSeed('redrive across lanes'));
  const cluster = await startCluster();
  try {
    await using outbox = await createClusterOutbox(cluster, {
      ...ENV,
      WALRELAY_STREAM: '${aggregatetype}.{order}',
    });
    const all = await writeLetters(outbox);
    const base = letterKey(outbox);
    const letterNode = await nodeOf(outbox, base);
    // A stream on another node, so that the one can be held while the other works.
    let target = '';
    for (let n = 0; target === ''; n += 1) {
      const name = `${outbox.name}.{t${n}}`;
      if ((await nodeOf(outbox, name)) !== letterNode) target = name;
    }
    const streamNode = await nodeOf(outbox, target);
    const redrive = (...which: string[]) => ['dead-letters', 'redrive', ...which, '--to-stream', target];
    // By their IDs: to look for them is a script, which a node that keeps writes back does not run either.
    const named = redrive(...(await readLetters(outbox.redis, base)).map(({ entryId }) => entryId));
    const held = async (node: Redis) =>
      ((await node.call('CLIENT', 'LIST')) as string)
        .split('\n')
        .some((line) => /cmd=(xdel|eval)\b/.test(line));

    /** Kills it while a node keeps its write back. */
    const killHeldBy = async (node: Redis): Promise<void> => {
      await node.call('CLIENT', 'PAUSE', '60000', 'WRITE');
      const command = outbox.start({}, { args: named });
      await waitFor('a write to wait', () => held(node));
      await command.kill();
      await waitFor('the killed client to be gone', async () => !(await held(node)));
      await node.call('CLIENT', 'UNPAUSE');
    };

    // In front of the entry: nothing has happened.
    await killHeldBy(streamNode);
    expect(await redrivenIds(outbox, target)).toEqual([]);
    expect(await letterIds(outbox)).toEqual(all);
    // Behind the entry, in front of the letter's removal: it stands in both, and comes again.
    await killHeldBy(letterNode);
    expect(await redrivenIds(outbox, target)).toEqual(all.slice(0, 1));
    expect(await letterIds(outbox)).toEqual(all);
    let kills = 2;
    for (; kills < KILLS && (await letterIds(outbox)).length > 0; kills += 1) {
      const before = await outbox.redis.xlen(target);
      const command = outbox.start({}, { args: redrive('--all') });
      const goal = before + random.int(1, 8);
      await Promise.race([
        waitFor('some entries', async () => (await outbox.redis.xlen(target)) >= goal),
        command.exited,
      ]);
      await command.kill();
      const [redriven, left] = [await redrivenIds(outbox, target), await letterIds(outbox)];
      expect(new Set([...redriven, ...left])).toEqual(new Set(all));
      expect(redriven.length + left.length).toBeLessThanOrEqual(all.length + kills);
    }
    expect([0, 71]).toContain((await runCli(redrive('--all'), outbox.env)).exitCode);
    const redriven = await redrivenIds(outbox, target);
    expect(await letterIds(outbox)).toEqual([]);
    expect([...new Set(redriven)]).toEqual(all);
    console.log(
      `redrive across lanes: killed ${kills} times, ${redriven.length - all.length} of ${all.length} came twice`,
    );
    // At most one for each kill, and the one that was held.
    expect(redriven.length - all.length).toBeGreaterThanOrEqual(1);
    expect(redriven.length - all.length).toBeLessThanOrEqual(kills);
  } finally {
    await cluster.dispose();
  }
}, 300_000);
