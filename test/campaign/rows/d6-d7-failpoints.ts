import { fileURLToPath } from 'node:url';
import { sessionErrors, waitForEvents, waitForRelay } from '../../support/chaos-links.ts';
import type { Row } from '../row.ts';
import { waitFor } from '../../support/wait-for.ts';

const FAILPOINT = fileURLToPath(new URL('../failpoints/on-signal.mjs', import.meta.url));
const NODE_ARGS = { nodeArgs: ['--import', FAILPOINT] };
const BUG_EXIT_CODE = 70;

export const rows: readonly Row[] = [
  {
    id: 'D6',
    fault: 'the relay’s event loop is blocked for longer than wal_sender_timeout',
    must: 'OK',
    runs: 2,
    async run(context) {
      const postgres = await context.startPostgres({ settings: { wal_sender_timeout: '1s' } });
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming({ CAMPAIGN_FAILPOINT: 'block:4000' }, NODE_ARGS);
      scene.startWorkload();
      await waitForEvents(daemon, 200);
      const fault = context.fault('a loop of four seconds');
      daemon.signal('SIGUSR2');
      await scene.untilSlotIsFree();
      await waitForRelay(daemon, 'the session to end', () => sessionErrors(daemon).length > 0);
      fault.over();
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
    },
  },
  {
    id: 'D7',
    fault: 'a rejection that nobody awaits, an exception that nobody catches, one in the decoder',
    must: 'HALT',
    runs: 2,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      scene.startWorkload();
      for (const kind of ['reject', 'throw', 'parser']) {
        const daemon = await scene.startStreaming({ CAMPAIGN_FAILPOINT: kind }, NODE_ARGS);
        await waitForEvents(daemon, 100);
        const fault = context.fault(`failpoint: ${kind}`);
        daemon.signal('SIGUSR2');
        const { exitCode, stderr } = await waitFor(
          'the relay to exit',
          () => daemon.hasExited && daemon.exited,
        );
        const code = sessionErrors(daemon).at(-1);
        if (exitCode !== BUG_EXIT_CODE || code !== 'BUG' || !stderr.includes('failpoint: '))
          throw new Error(`${kind}: exit code ${exitCode}, ${code}:\n${stderr}`);
        // What had been noted may have been confirmed before; nothing after it is.
        await scene.expectConfirmedNotPast(await scene.floor());
        fault.over();
        const next = await scene.startStreaming();
        await scene.recover(next, fault);
        await next.stop();
      }
      await scene.settle(await scene.startStreaming());
    },
  },
];
