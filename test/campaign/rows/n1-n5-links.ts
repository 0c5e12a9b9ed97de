import { streamingCount, waitForEvents, waitForSessions } from '../../support/chaos-links.ts';
import type { DirectionFaults } from '../../support/fault-proxy.ts';
import type { Row } from '../row.ts';
import type { Scene } from '../scene.ts';

export const rows: readonly Row[] = [
  {
    id: 'N1',
    fault: 'connections reset or half-closed at random bytes of the stream',
    must: 'OK',
    runs: 5,
    isShort: true,
    async run(context) {
      const { random } = context;
      const scene = await context.openScene();
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      await waitForEvents(daemon, 100);
      const { downstream } = scene.links.postgres;
      for (let count = 1; count <= 6; count += 1) {
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
  {
    id: 'N4',
    fault: 'bytes cut into single ones, into random pieces, and many packets made one',
    must: 'OK',
    runs: 2,
    async run(context) {
      const scene = await context.openScene();
      const daemon = await scene.startStreaming();
      // Single bytes are slow: no more than gets through.
      scene.startWorkload({ writers: 2, payloadBytesMax: 300, bigEvery: 0, pauseMs: 200 });
      let events = 0;
      for (const change of [
        (direction: DirectionFaults) => (direction.pieceBytes = 1),
        (direction: DirectionFaults) => (direction.pieceBytes = context.random.int(2, 50)),
        (direction: DirectionFaults) => {
          direction.pieceBytes = 0;
          direction.coalesceMs = 30;
        },
      ]) {
        for (const direction of everyDirection(scene)) change(direction);
        const { pieceBytes, coalesceMs } = scene.links.postgres.downstream;
        const fault = context.fault(`pieces of ${pieceBytes} bytes, gathered for ${coalesceMs} ms`);
        const streamed = streamingCount(daemon);
        // A session from its first byte, too.
        scene.links.resetAll();
        fault.over();
        await waitForSessions(daemon, streamed + 1);
        await scene.recover(daemon, fault);
        await waitForEvents(daemon, (events += 200));
      }
      await scene.settle(daemon);
    },
  },
  {
    id: 'N5',
    fault: '300 ms there and back, one megabit a second',
    must: 'OK',
    runs: 1,
    async run(context) {
      const scene = await context.openScene();
      const daemon = await scene.startStreaming();
      for (const direction of everyDirection(scene)) {
        direction.delayMs = 150;
        direction.bytesPerSecond = 125_000;
      }
      const fault = context.fault('slow links');
      scene.startWorkload({ payloadBytesMax: 2000, bigEvery: 0 });
      await scene.recover(daemon, fault);
      // A session from its first byte, too.
      scene.links.resetAll();
      await waitForSessions(daemon, 2);
      await waitForEvents(daemon, 500);
      await scene.settle(daemon);
    },
  },
];

function everyDirection({ links }: Scene): DirectionFaults[] {
  return [links.postgres, links.redis].flatMap((proxy) => [proxy.upstream, proxy.downstream]);
}
