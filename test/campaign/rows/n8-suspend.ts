import { waitForEvents } from '../../support/chaos-links.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'N8',
    fault: 'the relay’s host is suspended for longer than wal_sender_timeout, and wakes',
    must: 'OK',
    runs: 2,
    async run(context) {
      const postgres = await context.startPostgres({ settings: { wal_sender_timeout: '1s' } });
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      for (let count = 1; count <= 2; count += 1) {
        await waitForEvents(daemon, count * 200);
        const fault = context.fault('SIGSTOP of the relay');
        daemon.signal('SIGSTOP');
        await scene.untilSlotIsFree();
        daemon.signal('SIGCONT');
        fault.over();
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
];
