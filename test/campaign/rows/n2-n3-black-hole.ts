import { sessionErrors, waitForEvents, waitForRelay } from '../../support/chaos-links.ts';
import type { Env } from '../../support/cli.ts';
import type { Row } from '../row.ts';
import type { RowContext } from '../row-context.ts';

/** Half a minute by default; the rest of the row is about what follows. */
const IMPATIENT: Env = { WALRELAY_STATUS_INTERVAL_MS: '100', WALRELAY_SERVER_SILENCE_MS: '1000' };
const SILENCE_MS = 1000;
/** On a machine that is busy with other things. */
const SLACK_MS = 4000;

export const rows: readonly Row[] = [
  {
    id: 'N2',
    fault: 'the link to Postgres swallows everything, no FIN; then the one to Redis',
    must: 'OK',
    runs: 2,
    async run(context) {
      await swallow(context, { upstream: true, downstream: true, codes: ['PG_SILENT'] });
      const scene = await context.openScene();
      const daemon = await scene.startStreaming({ WALRELAY_REDIS_TIMEOUT_MS: '1000' });
      scene.startWorkload();
      await waitForEvents(daemon, 200);
      const fault = context.fault('the link to Redis swallows everything');
      scene.links.redis.blackHole(true);
      await waitForRelay(daemon, 'the silence to be noticed', () =>
        sessionErrors(daemon).includes('REDIS_TIMEOUT'),
      );
      scene.links.redis.blackHole(false);
      fault.over();
      await scene.recover(daemon, fault);
      await scene.settle(daemon);
    },
  },
  {
    id: 'N3',
    fault: 'one direction of the link to Postgres swallows everything',
    must: 'OK',
    runs: 2,
    async run(context) {
      // One way only, the server may be the first to give up.
      await swallow(context, {
        upstream: true,
        downstream: false,
        codes: ['PG_SILENT', 'PG_CONNECTION_LOST'],
      });
      await swallow(context, { upstream: false, downstream: true, codes: ['PG_SILENT'] });
    },
  },
];

async function swallow(
  context: RowContext,
  hole: { readonly upstream: boolean; readonly downstream: boolean; readonly codes: readonly string[] },
): Promise<void> {
  // With the default of a minute the server would hold the slot for that long when it can't hear us.
  const postgres = await context.startPostgres({ settings: { wal_sender_timeout: '2s' } });
  const scene = await context.openScene({ postgres });
  const daemon = await scene.startStreaming(IMPATIENT);
  scene.startWorkload();
  await waitForEvents(daemon, 200);
  const ways = [hole.upstream && 'to', hole.downstream && 'from'].filter((way) => way !== false);
  const fault = context.fault(`bytes ${ways.join(' and ')} Postgres are swallowed`);
  const startedAtMs = performance.now();
  if (hole.upstream) scene.links.postgres.upstream.setBlackHole(true);
  if (hole.downstream) scene.links.postgres.downstream.setBlackHole(true);
  await waitForRelay(daemon, 'the silence to be noticed', () => sessionErrors(daemon).length > 0);
  const noticedMs = performance.now() - startedAtMs;
  const [code] = sessionErrors(daemon);
  context.note(`noticed after ${Math.round(noticedMs)} ms: ${code}`);
  if (code === undefined || !hole.codes.includes(code)) throw new Error(`the session ended with ${code}`);
  if (noticedMs > SILENCE_MS + SLACK_MS) throw new Error(`noticed only after ${noticedMs} ms`);
  await scene.untilSlotIsFree();
  scene.links.postgres.blackHole(false);
  fault.over();
  await scene.recover(daemon, fault);
  await scene.settle(daemon);
}
