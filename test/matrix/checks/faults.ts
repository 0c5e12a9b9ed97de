import { exitError, waitForEvents } from '../../support/chaos-links.ts';
import type { Daemon } from '../../support/cli.ts';
import type { Check } from '../check.ts';

/** On a machine that is busy with other things. */
const START_LIMIT_MS = 60_000;

/** One long run, so that each process also meets what the fault before has left behind. */
export const faults: Check = {
  id: 'exact',
  what: 'exact under load, across kill -9 of the relay, of Postgres and of Redis, SIGTERM, and a standby’s takeover',
  async run(context, { postgres, redis }) {
    const scene = await context.openScene();
    let daemon = await scene.startStreaming();
    scene.startWorkload({ bigEvery: 60, bigRows: 500 });
    await waitForEvents(daemon, 200);

    const restarted = async (next: Daemon) => {
      await next.waitForLog('streaming', { timeoutMs: START_LIMIT_MS });
      return next;
    };

    const relayKill = context.fault('kill -9 of the relay', { isKill: true });
    await daemon.kill();
    relayKill.over();
    daemon = await restarted(scene.start());
    await scene.recover(daemon, relayKill);

    const postgresKill = context.fault('kill -9 of Postgres', { isKill: true });
    await postgres.kill();
    await postgres.start();
    postgresKill.over();
    await scene.recover(daemon, postgresKill);

    const redisKill = context.fault('kill -9 of Redis', { isKill: true });
    await redis.kill();
    await redis.start();
    redisKill.over();
    await scene.recover(daemon, redisKill);

    const stop = context.fault('SIGTERM of the relay');
    const stopped = await daemon.stop();
    if (stopped.exitCode !== 0) throw exitError(stopped);
    stop.over();
    daemon = await restarted(scene.start());
    await scene.recover(daemon, stop);

    const standby = scene.start();
    await standby.waitForLog('standing by: another relay holds the slot', { timeoutMs: START_LIMIT_MS });
    const takeover = context.fault('kill -9 of the holder beside a standby', { isKill: true });
    await daemon.kill();
    takeover.over();
    await restarted(standby);
    await scene.recover(standby, takeover);
    await scene.settle(standby);
  },
};
