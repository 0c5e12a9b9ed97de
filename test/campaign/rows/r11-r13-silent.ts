import { Redis } from 'ioredis';
import { lengthenAof } from '../../support/aof-tail.ts';
import { sessionErrors, waitForEvents } from '../../support/chaos-links.ts';
import { countErrors, waitForError } from '../../support/relay-errors.ts';
import { waitFor } from '../../support/wait-for.ts';
import { refusedForAWhile } from '../refused-for-a-while.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'R11',
    fault: 'LOADING for seconds after a restart',
    must: 'OK',
    runs: 2,
    async run(context) {
      // Microseconds for each command.
      const { redis, scene, daemon } = await context.openUnderLoad({
        redis: { args: ['--key-load-delay', '100'] },
      });
      await waitForEvents(daemon, 200);
      const fault = context.fault('kill -9 of Redis, which loads for seconds', { isKill: true });
      await redis.kill();
      lengthenAof(redis, context.random.int(8_000, 20_000));
      await redis.start();
      fault.over();
      await scene.recover(daemon, fault);
      if (!daemon.stderr.includes('LOADING')) throw new Error('the relay has never met LOADING');
      await scene.settle(daemon);
    },
  },
  {
    id: 'R12',
    fault: 'BUSY with a script of another client',
    must: 'OK',
    runs: 2,
    async run(context) {
      const { redis, scene, daemon } = await context.openUnderLoad({
        redis: { args: ['--busy-reply-threshold', '200'] },
      });
      const other = new Redis(redis.url);
      context.defer(async () => other.disconnect());
      let script: Promise<unknown> | null = null;
      await refusedForAWhile(
        { context, scene, daemon },
        {
          fault: 'an endless script',
          code: 'REDIS_NOT_READY',
          times: 2,
          events: 150,
          begin: async () => {
            script = other.eval('while true do end', 0).catch((error: unknown) => String(error));
          },
          end: async () => {
            await scene.outbox.redis.script('KILL');
            const end = await script;
            if (!String(end).includes('Script killed'))
              throw new Error(`the script ended with ${String(end)}`);
          },
        },
      );
      if (!daemon.stderr.includes('BUSY')) throw new Error('the relay has never met BUSY');
      await scene.settle(daemon);
    },
  },
  {
    id: 'R13',
    fault: 'DEBUG SLEEP and CLIENT PAUSE beyond the time-out',
    must: 'OK',
    runs: 2,
    async run(context) {
      const redis = await context.startRedis();
      const scene = await context.openScene({ redis, env: { WALRELAY_REDIS_TIMEOUT_MS: '500' } });
      const daemon = await scene.startStreaming();
      scene.startWorkload({ bigRows: 1_000 });
      const faults = context.random.shuffle(['SLEEP', 'PAUSE ALL', 'PAUSE WRITE', 'SLEEP']);
      for (const [index, kind] of faults.entries()) {
        await waitForEvents(daemon, (index + 1) * 100);
        const late = countErrors(daemon, 'REDIS_TIMEOUT');
        const seconds = context.random.int(2, 4);
        const fault = context.fault(`${kind} for ${seconds} s`);
        const stillness =
          kind === 'SLEEP'
            ? scene.outbox.redis.call('DEBUG', 'SLEEP', seconds)
            : scene.outbox.redis.call('CLIENT', 'PAUSE', seconds * 1000, kind.slice('PAUSE '.length));
        await waitForError(daemon, 'REDIS_TIMEOUT', late + 1);
        await stillness;
        if (kind !== 'SLEEP') await unpaused(fault.overAtMs + seconds * 1000);
        fault.over();
        await scene.recover(daemon, fault);
      }
      const ofPostgres = sessionErrors(daemon).filter((code) => !code.startsWith('REDIS_'));
      if (ofPostgres.length > 0) throw new Error(`Postgres did not stay connected: ${ofPostgres.join()}`);
      await scene.settle(daemon);
    },
  },
];

/** A pause ends by the clock. */
async function unpaused(atMs: number): Promise<void> {
  await waitFor('the end of the pause', () => performance.now() >= atMs);
}
