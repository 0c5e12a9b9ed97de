import { streamingCount, waitForEvents, waitForSessions } from '../../support/chaos-links.ts';
import type { Row } from '../row.ts';

const AGGREGATE_TYPES = ['order', 'customer', 'invoice', 'shipment'] as const;

/** Seeds follow one another: three runs take each of them. */
const RIGHTS = ['evalsha', 'xadd', 'hset'];

export const rows: readonly Row[] = [
  {
    id: 'R21',
    fault:
      'a stream’s key holds something else (WRONGTYPE): halts in front of the event, all before it stands',
    must: 'HALT',
    runs: 2,
    async run(context) {
      const scene = await context.openScene();
      const { redis } = scene.outbox;
      const daemon = await scene.startStreaming();
      scene.startWorkload({ bigRows: 500 });
      await waitForEvents(daemon, context.random.int(100, 300));
      const stream = scene.outbox.stream(context.random.pick(AGGREGATE_TYPES));
      const aside = `${scene.outbox.name}:aside`;
      context.fault(`a string in place of ${stream}`);
      await redis.multi().rename(stream, aside).set(stream, 'no stream').exec();
      await scene.expectHalt(daemon, ['EVENT_REFUSED'], { entries: 'any' });
      // As the hint says: out of the way with it, and the event arrives.
      await redis.multi().del(stream).rename(aside, stream).exec();
      await scene.expectPrefix();
      const mended = await scene.startStreaming();
      await scene.settle(mended);
    },
  },
  {
    id: 'R22',
    fault: 'SCRIPT FLUSH while running: the script is gone (NOSCRIPT)',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const { scene, daemon } = await context.openUnderLoad({ workload: { bigRows: 1_000 } });
      for (let count = 1; count <= 6; count += 1) {
        await waitForEvents(daemon, count * 40);
        const streamed = streamingCount(daemon);
        const fault = context.fault('SCRIPT FLUSH');
        await scene.outbox.redis.script('FLUSH');
        await waitForSessions(daemon, streamed + 1);
        await scene.recover(daemon, fault);
      }
      if (!daemon.stderr.includes('NOSCRIPT')) throw new Error('the relay has never met NOSCRIPT');
      await scene.settle(daemon);
    },
  },
  {
    id: 'R23',
    fault: 'a right taken from the relay’s Redis user (NOPERM)',
    must: 'HALT',
    runs: 3,
    async run(context) {
      const redis = await context.startRedis();
      const scene = await context.openScene({ redis });
      const command = RIGHTS[context.seed % RIGHTS.length] as string;
      const user = 'relay';
      const password = 'of-the-relay';
      await scene.outbox.redis.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~*', '+@all');
      const url = new URL(scene.links.redis.url(redis.url));
      url.username = user;
      url.password = password;
      const env = { REDIS_URL: url.href };
      const daemon = await scene.startStreaming(env);
      scene.startWorkload({ bigRows: 1_000 });
      await waitForEvents(daemon, context.random.int(100, 300));
      context.fault(`ACL SETUSER -${command}`);
      await scene.outbox.redis.call('ACL', 'SETUSER', user, `-${command}`);
      await scene.expectHalt(daemon, ['REDIS_PRIVILEGE'], { env });
      if (!daemon.stderr.includes(command)) throw new Error(`the command ${command} is not named`);
      if (daemon.stderr.includes(password)) throw new Error('the password stands in the log');
      await scene.outbox.redis.call('ACL', 'SETUSER', user, `+${command}`);
      const mended = await scene.startStreaming(env);
      await scene.settle(mended);
    },
  },
];
