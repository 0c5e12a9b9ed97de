import { waitForEvents } from '../../support/chaos-links.ts';
import type { Row } from '../row.ts';

/** The default of WALRELAY_DRAIN_TIMEOUT_MS; a relay that needs longer exits with another code than 0. */
const DRAIN_MS = 5000;
/** For the process to end, on a machine that is busy. */
const SLACK_MS = 3000;

export const rows: readonly Row[] = [
  {
    id: 'D2',
    fault: 'relay SIGTERM under load, started again',
    must: 'OK',
    runs: 3,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      scene.startWorkload();
      let daemon = await scene.startStreaming();
      for (let count = 1; count <= 3; count += 1) {
        await waitForEvents(daemon, context.random.int(1, 300));
        const fault = context.fault('SIGTERM');
        const startedAtMs = performance.now();
        const { exitCode } = await daemon.stop();
        const tookMs = Math.round(performance.now() - startedAtMs);
        context.note(`exit code ${exitCode} after ${tookMs} ms`);
        if (exitCode !== 0 || tookMs > DRAIN_MS + SLACK_MS)
          throw new Error(`SIGTERM: exit code ${exitCode} after ${tookMs} ms`);
        daemon = scene.start();
        fault.over();
        await daemon.streaming();
        await scene.recover(daemon, fault);
      }
      await scene.settle(daemon);
    },
  },
];
