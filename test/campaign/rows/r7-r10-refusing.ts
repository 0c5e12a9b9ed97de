import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findRedis } from '../../../dev/servers/redis.ts';
import { waitForEvents, waitForRelay, waitForSessions } from '../../support/chaos-links.ts';
import { HeldAppends } from '../../support/held-appends.ts';
import { waitForError } from '../../support/relay-errors.ts';
import { waitFor } from '../../support/wait-for.ts';
import { refusedForAWhile } from '../refused-for-a-while.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'R7',
    fault: 'maxmemory reached with noeviction, in random windows',
    must: 'OK',
    runs: 2,
    async run(context) {
      const { scene, daemon } = await context.openUnderLoad();
      const { redis: client } = scene.outbox;
      await refusedForAWhile(
        { context, scene, daemon },
        {
          fault: 'maxmemory 1',
          code: 'REDIS_FULL',
          times: 5,
          events: 100,
          begin: () => client.config('SET', 'maxmemory', '1'),
          end: () => client.config('SET', 'maxmemory', '0'),
        },
      );
      await scene.settle(daemon);
    },
  },
  {
    id: 'R8',
    fault: 'OOM in the middle of a pipeline: its followers are refused, though Redis would take them by then',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const redis = await context.startRedis();
      const scene = await context.openScene({ redis });
      const { outbox } = scene;
      const held = new HeldAppends(scene.links.redis);
      const depth = context.random.int(2, 16);
      const daemon = await scene.startStreaming({
        WALRELAY_BATCH_EVENTS_MAX: '10',
        WALRELAY_IN_FLIGHT_BATCHES_MAX: String(depth),
      });
      await scene.deliverCanary();
      await outbox.waitUntilConfirmed();
      held.hold();
      await outbox.query(
        `INSERT INTO outbox (aggregatetype, aggregateid, type, payload)
         SELECT 'order', (n % 7)::text, 'x', to_jsonb(n) FROM generate_series(1, $1::int) n`,
        [depth * 10 + 50],
      );
      await waitForRelay(daemon, `${depth} batches on their way`, () => held.appends.length === depth);
      const accepted = context.random.int(0, depth - 2);
      held.send(held.appends.slice(0, accepted));
      await waitFor('their answers', () => held.answers.length === accepted);
      await outbox.redis.config('SET', 'maxmemory', '1');
      held.send(held.appends.slice(accepted, accepted + 1));
      await waitFor('the refusal', () => held.answers.length === accepted + 1);
      await outbox.redis.config('SET', 'maxmemory', '0');
      const fault = context.fault(`batch ${accepted + 1} of ${depth} refused`);
      if (!held.answers.at(-1)?.includes('OOM')) throw new Error(`no OOM: ${held.answers.at(-1)}`);
      held.send(held.appends.slice(accepted + 1));
      await waitFor('the answers to the followers', () => held.answers.length === depth);
      const passed = held.answers.slice(accepted + 1).filter((answer) => !answer.startsWith('-GAP'));
      if (passed.length > 0) throw new Error(`followers were not refused: ${passed.join()}`);
      held.release();
      await waitForSessions(daemon, 2);
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
    },
  },
  {
    id: 'R9',
    fault:
      'maxmemory-policy allkeys-lru: refused at the start; while running it evicts streams and lane state',
    must: ['REFUSE', 'HALT'],
    runs: 2,
    async run(context) {
      const { scene, daemon } = await context.openUnderLoad();
      await waitForEvents(daemon, 200);
      const replies = await scene.outbox.redis
        .multi()
        .hget(scene.outbox.metaKey, 'floor')
        .config('SET', 'maxmemory-policy', 'allkeys-lru')
        .config('SET', 'maxmemory', '1')
        .exec();
      context.fault('all keys evicted');
      const notPast = scene.parseFloor(replies?.[0]?.[1]);
      const codes = ['LANE_MISSING', 'REDIS_EVICTS'];
      await scene.expectHalt(daemon, codes, { notPast, entries: 'any' });
      await scene.outbox.redis.config('SET', 'maxmemory', '0');
      await scene.expectHalt(scene.start(), ['REDIS_EVICTS'], { notPast, entries: 'any' });
    },
  },
  {
    id: 'R10',
    fault: 'the disk of the append-only file is full (MISCONF), and has room again',
    must: 'OK',
    runs: 2,
    impossible: () => whyNoOwnDisk(),
    async run(context) {
      const disk = mkdtempSync(join(tmpdir(), 'walrelay-disk-'));
      context.defer(async () => rmSync(disk, { recursive: true, force: true }));
      const redis = await context.startRedis({
        binary: await onSmallDisk(disk),
        // With `always` Redis would end itself.
        args: ['--dir', join(disk, 'data'), '--appendfsync', 'everysec'],
      });
      // The disk is to be seen from within the server's mount namespace only; so it goes with the server.
      const filler = join('/proc', String(redis.pid), 'root', disk, 'data', 'filler');
      const scene = await context.openScene({ redis });
      const daemon = await scene.startStreaming();
      scene.startWorkload({ bigEvery: 0, payloadBytesMax: 1_000 });
      for (let count = 1; count <= 2; count += 1) {
        await waitForEvents(daemon, count * 60);
        const fault = context.fault('disk full');
        fill(filler);
        await waitForError(daemon, 'REDIS_NOT_READY', count);
        if (!daemon.stderr.includes('MISCONF')) throw new Error('it was not refused with MISCONF');
        const confirmed = await scene.confirmed();
        await scene.outbox.insert();
        await sleep(context.random.int(100, 500));
        if ((await scene.confirmed()) > confirmed) throw new Error('confirmed while the disk was full');
        rmSync(filler);
        fault.over();
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
];

const DISK_BYTES = 4 * 1024 * 1024;

function whyNoOwnDisk(): string | null {
  const result = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt'], {
    encoding: 'utf8',
  });
  if (result.status === 0) return null;
  return `a small disk needs the right to mount: ${(result.stderr ?? String(result.error)).trim()}`;
}

/** The same Redis, with a disk of its own below `dir`. */
async function onSmallDisk(dir: string): Promise<Awaited<ReturnType<typeof findRedis>>> {
  const binary = await findRedis();
  const data = join(dir, 'data');
  mkdirSync(data);
  const command = join(dir, 'redis-on-small-disk');
  const inside = `mount -t tmpfs -o size=${DISK_BYTES} none '${data}' && exec '${binary.command}' "$@"`;
  writeFileSync(
    command,
    `#!/bin/sh\nexec unshare --mount sh -c '${inside.replaceAll("'", `'\\''`)}' sh "$@"\n`,
  );
  chmodSync(command, 0o755);
  return { ...binary, command };
}

/** Writes until there is no room. */
function fill(file: string): void {
  try {
    writeFileSync(file, Buffer.alloc(DISK_BYTES));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return;
    throw error;
  }
  throw new Error('the disk is larger than it should be');
}
