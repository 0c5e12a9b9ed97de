import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { build } from '../dev/build.ts';
import { waitForEvents } from '../test/support/chaos-links.ts';
import type { Daemon } from '../test/support/cli.ts';
import { Outbox } from '../test/support/outbox.ts';
import { SharedServers } from '../test/campaign/shared-servers.ts';

/**
 * How long nothing arrives when one relay goes and its standby takes over: the longest time between two entries, by
 * the clock of Redis, under a steady rate of single-row commits. `npm run bench:takeover -- --rates 100,1000 --rounds 20`
 */
const { values } = parseArgs({
  options: {
    rates: { type: 'string', default: '100,1000' },
    rounds: { type: 'string', default: '20' },
    'window-ms': { type: 'string', default: '5000' },
  },
});
const windowMs = Number(values['window-ms']);
const rounds = Number(values.rounds);
const ENDS = {
  'SIGTERM, a rolling restart': (holder: Daemon) => holder.stop(),
  SIGKILL: (holder: Daemon) => holder.kill(),
};

build();
await using servers = new SharedServers();
const table = new Table({
  head: [
    'the holder ends by',
    'events/s',
    'takeovers',
    'pause p50, ms',
    'p90',
    'max',
    'until it streams p50',
  ],
  colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
});
for (const rate of values.rates.split(',').map(Number)) {
  for (const [how, end] of Object.entries(ENDS)) {
    const takeovers = await measure(rate, end);
    const pauses = takeovers.map(({ pauseMs }) => pauseMs);
    const ready = takeovers.map(({ untilStreamingMs }) => untilStreamingMs);
    table.push([how, rate, rounds, at(pauses, 0.5), at(pauses, 0.9), at(pauses, 1), at(ready, 0.5)]);
  }
}
console.log(`${(await servers.descriptions()).join(', ')}; replay window ${windowMs} ms`);
console.log(table.toString());

interface Takeover {
  readonly pauseMs: number;
  /** From the last entry of the old relay until the new one streams. */
  readonly untilStreamingMs: number;
}

async function measure(rate: number, end: (holder: Daemon) => Promise<unknown>): Promise<Takeover[]> {
  await using outbox = await Outbox.create(await servers.urls());
  const env = { WALRELAY_REPLAY_WINDOW_MS: String(windowMs), WALRELAY_WATCH_INTERVAL_MS: '1000' };
  let holder = outbox.start(env);
  await holder.streaming();
  const writing = new AbortController();
  const written = write(outbox, rate, writing.signal);
  const takeovers: Takeover[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const standby = outbox.start(env);
    await standby.waitForLog('standing by: another relay holds the slot');
    // A window's worth of events is there to be read again.
    await sleep(windowMs + Math.random() * 1000);
    const endedAtMs = Date.now();
    await end(holder);
    await standby.streaming();
    await waitForEvents(standby, 20);
    takeovers.push(await takeoverOf(outbox, standby, endedAtMs));
    holder = standby;
  }
  writing.abort();
  await written;
  return takeovers;
}

async function takeoverOf(outbox: Outbox, standby: Daemon, endedAtMs: number): Promise<Takeover> {
  const entries = await outbox.redis.xrange(outbox.stream(), String(endedAtMs - 100), '+');
  const times = entries.map(([id]) => Number(id.split('-')[0]));
  let pauseMs = 0;
  let lastMs = 0;
  for (const [index, time] of times.slice(1).entries()) {
    const before = times[index] as number;
    if (time - before <= pauseMs) continue;
    pauseMs = time - before;
    lastMs = before;
  }
  const streaming = standby.log.find(({ msg }) => msg === 'streaming');
  return { pauseMs, untilStreamingMs: Date.parse(String(streaming?.['time'])) - lastMs };
}

/** Commits `rate` events a second, whether or not earlier ones have finished. */
async function write(outbox: Outbox, rate: number, signal: AbortSignal): Promise<void> {
  const startedAtMs = performance.now();
  const open = new Set<Promise<unknown>>();
  for (let count = 0; !signal.aborted; count += 1) {
    const waitMs = startedAtMs + (count * 1000) / rate - performance.now();
    if (waitMs > 1) await sleep(waitMs);
    const insert: Promise<unknown> = outbox.insert().finally(() => open.delete(insert));
    open.add(insert);
  }
  await Promise.all(open);
}

function at(sample: readonly number[], quantile: number): number {
  const sorted = [...sample].sort((a, b) => a - b);
  return sorted[Math.ceil(quantile * sorted.length) - 1] as number;
}
