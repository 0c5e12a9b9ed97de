import { type FakeClock, startFakeClock } from '../../../dev/servers/fake-clock.ts';
import { readMetric, sessionErrors, waitForEvents, waitForRelay } from '../../support/chaos-links.ts';
import { waitFor } from '../../support/wait-for.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';

const JUMPS_S: readonly number[] = [-86_400, -3_600, -5, 5, 3_600, 86_400];
/** The offset is read once a second, and this machine may be slow. */
const TOLERANCE_S = 60;

export const rows: readonly Row[] = [
  {
    id: 'P35',
    fault: 'the wall clock of either host jumps, an hour or a day, forwards and backwards',
    must: 'OK',
    runs: 2,
    async impossible() {
      const clock = await startFakeClock();
      await clock?.[Symbol.asyncDispose]();
      return clock === undefined ? 'needs libfaketime, which apt does not deliver here' : null;
    },
    async run(context) {
      const [ofPostgres, ofRelay] = [await openClock(context), await openClock(context)];
      const postgres = await context.startPostgres({ env: ofPostgres.env });
      const scene = await context.openScene({ postgres });
      const daemon = await scene.startStreaming(ofRelay.env);
      scene.startWorkload();
      await waitForEvents(daemon, 100);
      for (const seconds of context.random.shuffle(JUMPS_S).slice(0, 3)) {
        const fault = context.fault(`the relay's clock is ${seconds} s off`);
        ofRelay.jumpTo(seconds);
        await waitForRelay(daemon, 'the clock to have jumped', async () => {
          await scene.outbox.insert();
          return isOff((await readMetric(daemon, 'walrelay_last_event_timestamp_seconds')) * 1000, seconds);
        });
        await scene.recover(daemon, fault);
      }
      const errors = sessionErrors(daemon);
      if (errors.length > 0) throw new Error(`the relay's own clock ended sessions: ${errors.join(', ')}`);
      for (const seconds of context.random.shuffle(JUMPS_S).slice(0, 3)) {
        const fault = context.fault(`the clock of Postgres is ${seconds} s off`);
        ofPostgres.jumpTo(seconds);
        await waitFor('the clock to have jumped', async () => {
          const [row] = await scene.outbox.query<{ now: Date }>('SELECT clock_timestamp() AS now');
          return row !== undefined && isOff(row.now.getTime(), seconds);
        });
        // A walsender measures its client's silence with that clock, so a session may end: that is all.
        await scene.recover(daemon, fault);
      }
      context.note(`sessions ended with: ${sessionErrors(daemon).join(', ') || 'none'}`);
      await scene.settle(daemon);
    },
  },
];

async function openClock(context: RowContext): Promise<FakeClock> {
  const clock = await startFakeClock();
  if (clock === undefined) throw new Error('libfaketime was there a moment ago');
  return context.use(clock);
}

function isOff(atMs: number, seconds: number): boolean {
  return Math.abs(atMs - Date.now() - seconds * 1000) < Math.min(TOLERANCE_S, Math.abs(seconds) * 0.9) * 1000;
}
