import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BenchPlace, Contestant } from '../../../src/bench/contestant.ts';
import { startPostgres } from '../../servers/postgres.ts';
import { startRedis } from '../../servers/redis.ts';
import { peers } from './peers.ts';
import { TryLoad } from './try-load.ts';

/**
 * Tries peers for a minute each, on servers of its own: a backlog, a steady rate, a burst, a SIGKILL in the middle of
 * a load, and what is left behind. Not a benchmark; it shows whether a peer works as it is set up here.
 *
 *   node --import tsx dev/bench/peers/try.ts [id …]
 */
const BACKLOG = 2_000;
const STEADY = { events: 1_000, ratePerSecond: 200 };
const BURST = 2_000;
const KILL = { events: 4_000, ratePerSecond: 800, afterMs: 2_500 };

const wanted = process.argv.slice(2);
const chosen = peers().filter(({ id }) => wanted.length === 0 || wanted.includes(id));
if (chosen.length === 0)
  throw new Error(
    `no such peer; there are ${peers()
      .map(({ id }) => id)
      .join(', ')}`,
  );

const postgres = await startPostgres();
const redis = await startRedis();
const interrupt = new AbortController();
process.once('SIGINT', () => interrupt.abort(new Error('interrupted')));
try {
  for (const contestant of chosen) {
    console.log(`\n${contestant.name}${contestant.version === undefined ? '' : ` ${contestant.version}`}`);
    await tryPeer(contestant);
  }
} finally {
  await postgres.dispose();
  await redis.dispose();
}

async function tryPeer(contestant: Contestant): Promise<void> {
  const name = `walrelay_bench_${randomBytes(4).toString('hex')}`;
  const place: BenchPlace = {
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    name,
    table: { schema: name, name: 'outbox' },
    keyPrefix: `${name}:`,
    dir: mkdtempSync(join(tmpdir(), `${name}-`)),
    signal: interrupt.signal,
  };
  const load = await TryLoad.open(place);
  try {
    const before = await load.inventory();
    const reason = await contestant.unavailable(place);
    if (reason !== undefined) {
      console.log(`  can't run here: ${reason}`);
      return;
    }
    await contestant.setUp(place);
    await runPhases(contestant, place, load);
    await contestant.tearDown(place);
    await contestant.tearDown(place);
    const left = (await load.inventory()).filter((item) => !before.includes(item));
    console.log(`  left behind: ${left.length === 0 ? 'nothing' : left.join(', ')}`);
  } finally {
    await contestant.tearDown(place);
    await load.close();
    rmSync(place.dir, { recursive: true, force: true });
  }
}

async function runPhases(contestant: Contestant, place: BenchPlace, load: TryLoad): Promise<void> {
  await load.write(BACKLOG);
  const started = Date.now();
  let running = await contestant.start(place);
  console.log(`  ready after ${Date.now() - started} ms`);
  console.log(`  backlog  ${await load.result()}`);

  await load.write(STEADY.events, STEADY.ratePerSecond);
  console.log(`  steady   ${await load.result()}`);
  console.log(`  backends ${(await load.backends()).join(', ')}; counted by ${running.applicationName}`);
  await load.write(BURST);
  console.log(`  burst    ${await load.result()}`);

  const writing = load.write(KILL.events, KILL.ratePerSecond);
  await new Promise((resolve) => setTimeout(resolve, KILL.afterMs));
  for (const pid of running.pids) process.kill(pid, 'SIGKILL');
  const how = await running.ended;
  console.log(`  ${how.split('\n')[0]}`);
  running = await contestant.start(place);
  await writing;
  console.log(`  killed   ${await load.result()}`);

  const stopping = Date.now();
  await running.stop();
  console.log(`  stopped after ${Date.now() - stopping} ms`);
}
