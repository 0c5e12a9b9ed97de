import { setTimeout as sleep } from 'node:timers/promises';
import {
  readMetric,
  streamingCount,
  unlessExited,
  waitForEvents,
  waitForSessions,
} from '../../support/chaos-links.ts';
import { PointWatch } from '../../support/protocol-points.ts';
import { countErrors, waitForError } from '../../support/relay-errors.ts';
import type { Row } from '../row.ts';

const LOST = ['REDIS_NOT_READY', 'REDIS_UNREACHABLE', 'REDIS_CONNECTION_LOST'] as const;

export const rows: readonly Row[] = [
  {
    id: 'R14',
    fault: 'CLIENT KILL in a loop, clients evicted for their memory, maxclients reached',
    must: 'OK',
    runs: 2,
    async run(context) {
      const redis = await context.startRedis();
      const scene = await context.openScene({ redis });
      const { redis: admin } = scene.outbox;
      await admin.client('NO-EVICT', 'ON');
      const daemon = await scene.startStreaming();
      scene.startWorkload({ bigRows: 1_000 });
      const kinds = ['kill', 'kill', 'kill', 'kill', 'kill', 'kill', 'evict', 'full'] as const;
      for (const kind of context.random.shuffle(kinds)) {
        const streamed = streamingCount(daemon);
        const lost = countErrors(daemon, ...LOST);
        const fault = context.fault(`clients: ${kind}`);
        switch (kind) {
          case 'kill':
            await admin.call('CLIENT', 'KILL', 'TYPE', 'normal');
            break;
          case 'evict':
            await admin.config('SET', 'maxmemory-clients', '1');
            await waitForError(daemon, LOST, lost + 1);
            await admin.config('SET', 'maxmemory-clients', '0');
            break;
          case 'full':
            await admin.config('SET', 'maxclients', '1');
            await admin.call('CLIENT', 'KILL', 'TYPE', 'normal');
            // The first is the kill itself, the second a connection that was turned away.
            await waitForError(daemon, LOST, lost + 2);
            await admin.config('SET', 'maxclients', '10000');
            break;
        }
        await waitForSessions(daemon, streamed + 1);
        fault.over();
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
  {
    id: 'R15',
    fault: 'the reply to a batch is lost after Redis has run it',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const scene = await context.openScene({ env: { WALRELAY_REDIS_TIMEOUT_MS: '500' } });
      const daemon = await scene.startStreaming();
      scene.startWorkload({ bigRows: 1_000 });
      for (let count = 1; count <= 4; count += 1) {
        await waitForEvents(daemon, count * 50);
        const streamed = streamingCount(daemon);
        const fault = context.fault('answers black-holed');
        // Commands go on, answers do not come back; the relay hears nothing until it gives the connection up.
        scene.links.redis.downstream.setBlackHole(true);
        await waitForError(daemon, 'REDIS_TIMEOUT', count);
        scene.links.redis.resetAll();
        scene.links.redis.downstream.setBlackHole(false);
        fault.over();
        await waitForSessions(daemon, streamed + 1);
        await scene.recover(daemon, fault);
      }
      const resent = await readMetric(daemon, 'walrelay_resent_events_total');
      if (resent === 0) throw new Error('no event was ever recognised as standing already');
      context.note(`${resent} events recognised and skipped`);
      await scene.settle(daemon);
    },
  },
  {
    id: 'R16',
    fault: 'half of a batch sent, then cut: nothing of it is appended',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const { random } = context;
      const scene = await context.openScene();
      const watch = new PointWatch(scene.links);
      const daemon = await scene.startStreaming();
      scene.startWorkload({ bigRows: 1_000 });
      for (let count = 1; count <= 10; count += 1) {
        const streamed = streamingCount(daemon);
        const stage = random.pick(['half', 'half', 'half', 'before'] as const);
        await unlessExited(
          daemon,
          watch.arm({ message: 'append', stage }, random.int(1, 5), () => undefined),
        );
        const fault = context.fault(`cut ${stage} of a batch`);
        await sleep(random.int(0, 50));
        await waitForSessions(daemon, streamed + 1);
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
];
