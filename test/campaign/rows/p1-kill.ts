import { waitForEvents } from '../../support/chaos-links.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'P1',
    fault: 'Postgres kill -9 and restart, under load',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const postgres = await context.startPostgres();
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      for (let life = 1; life <= 3; life += 1) {
        await waitForEvents(daemon, life * 200);
        const fault = context.fault('kill -9 of Postgres', { isKill: true });
        await postgres.kill();
        await postgres.start();
        fault.over();
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
];
