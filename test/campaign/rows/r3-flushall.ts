import { waitForEvents } from '../../support/chaos-links.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'R3',
    fault: 'FLUSHALL under load',
    must: 'HALT',
    runs: 2,
    isShort: true,
    async run(context) {
      const redis = await context.startRedis();
      const scene = await context.openScene({ redis });
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      await waitForEvents(daemon, 200);
      const before = await scene.outbox.redis.multi().hget(scene.outbox.metaKey, 'floor').flushall().exec();
      context.fault('FLUSHALL');
      const notPast = scene.parseFloor(before?.[0]?.[1]);
      // Redis itself has lost what stood in the streams.
      await scene.expectHalt(daemon, ['LANE_MISSING'], { notPast, entries: 'any' });
    },
  },
];
