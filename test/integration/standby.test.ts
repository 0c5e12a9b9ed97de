import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { settle, waitForEvents } from '../support/chaos-links.ts';
import type { Daemon } from '../support/cli.ts';
import { expectExact, Oracle } from '../support/exactness.ts';
import type { Outbox } from '../support/outbox.ts';
import { createOutbox } from '../support/servers.ts';
import { waitFor } from '../support/wait-for.ts';
import { Workload } from '../support/workload.ts';

const QUICK = { WALRELAY_BACKOFF_MIN_MS: '20', WALRELAY_REPLAY_WINDOW_MS: '5000' };

/** Commits an event every few milliseconds, one at a time: their entries tell how long nobody relayed. */
class Ticker implements AsyncDisposable {
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor(outbox: Outbox) {
    this.#done = this.#run(outbox);
  }

  async #run(outbox: Outbox): Promise<void> {
    while (!this.#isStopped) {
      await outbox.insert();
      await sleep(5);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }
}

/** The longest time between two entries since `fromMs`, by the clock of Redis, milliseconds. */
async function longestPauseMs(outbox: Outbox, fromMs: number): Promise<number> {
  const entries = await outbox.redis.xrange(outbox.stream(), String(fromMs), '+');
  const times = entries.map(([id]) => Number(id.split('-')[0]));
  return Math.max(...times.slice(1).map((time, index) => time - (times[index] as number)));
}

test.each([
  { how: 'dies', end: (holder: Daemon) => holder.kill(), exitCode: null },
  { how: 'is stopped, as in a rolling restart', end: (holder: Daemon) => holder.stop(), exitCode: 0 },
])(
  'a standby goes on where a holder that $how left off: exact, and each pause is told',
  async ({ how, end, exitCode }) => {
    await using outbox = await createOutbox();
    const oracle = await Oracle.create(outbox);
    let holder = outbox.start(QUICK);
    await holder.streaming();
    const pausesMs: number[] = [];
    {
      await using _ticker = new Ticker(outbox);
      for (let round = 1; round <= 3; round += 1) {
        const standby = outbox.start(QUICK);
        await standby.waitForLog('standing by: another relay holds the slot');
        const endedAtMs = Date.now();
        expect((await end(holder)).exitCode).toBe(exitCode);
        await standby.streaming();
        await waitForEvents(standby, 20);
        pausesMs.push(await longestPauseMs(outbox, endedAtMs - 100));
        holder = standby;
      }
    }
    console.log(`pauses when the holder ${how}: ${pausesMs.join(', ')} ms`);
    expect(await settle({ outbox, oracle, daemon: holder })).toBeGreaterThan(60);
  },
);

test('with --steal the slot is taken from its holder, which stands by then', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  const holder = outbox.start(QUICK);
  await holder.streaming();
  await using workload = Workload.start({ databaseUrl: outbox.databaseUrl, seed: 3 });
  await waitForEvents(holder, 50);
  const thief = outbox.start(QUICK, { args: ['run', '--steal'] });
  await thief.streaming();
  expect(thief.log.some(({ msg }) => msg === 'the slot was taken from its holder, as asked')).toBe(true);
  await holder.waitForLog('standing by: another relay holds the slot');
  await waitForEvents(thief, 50);
  expect(await settle({ outbox, oracle, daemon: thief }, workload)).toBeGreaterThan(100);
  // What was stolen comes back by itself when the thief goes.
  await waitFor(
    'the first holder to stream again',
    () => holder.log.filter(({ msg }) => msg === 'streaming').length === 2,
  );
});

test('a holder that slept through a takeover is fenced, writes nothing and exits', async () => {
  await using outbox = await createOutbox();
  const oracle = await Oracle.create(outbox);
  const sleeper = outbox.start(QUICK);
  await sleeper.streaming();
  await using workload = Workload.start({
    databaseUrl: outbox.databaseUrl,
    seed: 5,
    writers: 16,
    pauseMs: 10,
  });
  await waitForEvents(sleeper, 100);
  sleeper.signal('SIGSTOP');
  // Something waits in its socket when it wakes.
  const length = await outbox.redis.xlen(outbox.stream());
  const thief = outbox.start(QUICK, { args: ['run', '--steal'] });
  await thief.streaming();
  await outbox.waitForLength(outbox.stream(), length + 50);
  sleeper.signal('SIGCONT');
  const fenced = sleeper.exited.then(({ exitCode, stderr }) => ({
    exitCode,
    isFenced: stderr.includes('FENCED'),
  }));
  // It may notice first that its connection is gone: then it has written nothing either, and stands by.
  const standsBy = sleeper.waitForLog('standing by: another relay holds the slot').then(
    () => 'stands by',
    () => fenced,
  );
  const outcome = await Promise.race([fenced, standsBy]);
  expect(['stands by', { exitCode: 75, isFenced: true }]).toContainEqual(outcome);
  await workload.stop();
  await outbox.waitUntilConfirmed(60_000);
  expect(await expectExact(outbox, oracle)).toBeGreaterThan(100);
});
