import {
  readMetric,
  sessionErrors,
  streamingCount,
  waitForRelay,
  waitForSessions,
} from '../../support/chaos-links.ts';
import { ForeignReader, terminateWalsender } from '../../support/walsender.ts';
import type { Row } from '../row.ts';

export const rows: readonly Row[] = [
  {
    id: 'P6',
    fault: 'the walsender is terminated every 200 ms',
    must: 'OK',
    runs: 3,
    async run(context) {
      const scene = await context.openScene();
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      for (let count = 1; count <= 15; count += 1) {
        const streamed = streamingCount(daemon);
        await waitForRelay(daemon, 'a walsender to terminate', () => terminateWalsender(scene.outbox));
        const fault = context.fault('pg_terminate_backend');
        await waitForSessions(daemon, streamed + 1);
        if (count % 5 === 0) await scene.recover(daemon, fault);
        else await new Promise((resolve) => setTimeout(resolve, context.random.int(0, 200)));
      }
      await scene.settle(daemon);
      const expected = new Set(['PG_SHUTDOWN', 'PG_CONNECTION_LOST', 'SLOT_IN_USE']);
      const others = sessionErrors(daemon).filter((code) => !expected.has(code));
      if (others.length > 0) throw new Error(`sessions ended with ${others.join(', ')}`);
    },
  },
  {
    id: 'P7',
    fault: 'the slot is active elsewhere',
    must: 'WAIT',
    runs: 2,
    async run(context) {
      const scene = await context.openScene();
      const daemon = await scene.startStreaming();
      scene.startWorkload();
      await scene.deliverCanary();
      // Quicker than the relay that comes back, or a later attempt is.
      const reader = await waitForRelay(daemon, 'the slot', async () => {
        await terminateWalsender(scene.outbox);
        return await ForeignReader.open(scene.outbox).catch(() => null);
      });
      context.use(reader);
      const fault = context.fault('somebody else streams from the slot');
      await daemon.waitForLog('standing by: another relay holds the slot');
      const before = await scene.confirmed();
      await waitForRelay(daemon, 'the phase standby', async () => {
        const response = await fetch(`${await daemon.httpUrl()}/metrics`);
        return /walrelay_phase\{phase="standby"\} 1/.test(await response.text());
      });
      const appended = await readMetric(daemon, 'walrelay_events_total');
      await new Promise((resolve) => setTimeout(resolve, context.random.int(500, 1_500)));
      const since = (await readMetric(daemon, 'walrelay_events_total')) - appended;
      if (since !== 0) throw new Error(`${since} events were appended while somebody else held the slot`);
      await scene.expectConfirmedNotPast(before);
      await reader[Symbol.asyncDispose]();
      fault.over();
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
    },
  },
];
