import { streamingCount, waitForEvents, waitForSessions } from '../../support/chaos-links.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'N1',
    fault: 'connections reset or half-closed at random bytes of the stream',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const { random } = context;
      const scene = await context.openScene();
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      await waitForEvents(daemon, 100);
      const { downstream } = scene.links.postgres;
      for (let count = 1; count <= 10; count += 1) {
        const streamed = streamingCount(daemon);
        downstream.cut = random.pick(['reset', 'halfClose']);
        downstream.cutAfterBytes = random.int(1, 50_000);
        const fault = context.fault(`${downstream.cut} after ${downstream.cutAfterBytes} bytes`);
        await waitForSessions(daemon, streamed + 1);
        fault.over();
        await scene.recover(daemon, fault);
      }
      downstream.cutAfterBytes = null;
      await scene.settle(daemon);
    },
  },
];
