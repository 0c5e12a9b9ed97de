import { waitForEvents } from '../../support/chaos-links.ts';
import type { Daemon } from '../../support/cli.ts';
import { rewriteDownstream } from '../../support/rewrite-frames.ts';
import type { Row } from '../row.ts';

/** The minor releases of May 2025 mended a loss of changes; these are the ones right before them. */
const BAD_MINORS: readonly string[] = ['140017', '150012', '160008', '170004'];

export const rows: readonly Row[] = [
  {
    id: 'P34',
    fault: 'a minor version with known losses, or a major one that is too old',
    must: ['WARN', 'REFUSE'],
    runs: 2,
    isShort: true,
    async run(context) {
      const scene = await context.openScene();
      const [server] = await scene.outbox.query<{ number: string }>(
        "SELECT current_setting('server_version_num') AS number",
      );
      const real = server?.number ?? '';
      // In the catalog's answer; nothing else of the server changes.
      const name = '"versionNumber" : ';
      const bad = context.random.pick(BAD_MINORS);
      const rewritten = rewriteDownstream(scene.links.postgres, `${name}${real}`, `${name}${bad}`);
      context.fault(`server_version_num is ${bad}`);
      const daemon = await scene.startStreaming();
      if (rewritten.count === 0) throw new Error('no version was seen to be rewritten');
      expectWarning(daemon, /can lose logical changes .* update to \d+\.\d+ or later/);
      scene.startWorkload({ bigEvery: 0 });
      await waitForEvents(daemon, 200);
      await scene.settle(daemon);

      rewriteDownstream(scene.links.postgres, `${name}${real}`, `${name}130099`);
      context.fault('server_version_num is 130099');
      await scene.expectHalt(scene.start(), ['PG_VERSION'], {
        notPast: await scene.confirmed(),
        entries: 'any',
      });
    },
  },
  {
    id: 'P36',
    fault: "synchronous_standby_names = '*': commits wait for the relay",
    must: 'WARN',
    runs: 1,
    async run(context) {
      const postgres = await context.startPostgres();
      const scene = await context.openScene({ postgres });
      const fault = context.fault("synchronous_standby_names = '*'");
      await scene.outbox.query("ALTER SYSTEM SET synchronous_standby_names = '*'");
      await scene.outbox.query('SELECT pg_reload_conf()');
      const daemon = await scene.startStreaming();
      expectWarning(daemon, /synchronous_standby_names = '\*' makes commits wait for this relay/);
      // Only what the relay has confirmed lets go of the commit.
      scene.startWorkload({ bigEvery: 0 });
      await scene.recover(daemon, fault);
      await waitForEvents(daemon, 100);
      await scene.stopWorkloads();
      await scene.outbox.query('ALTER SYSTEM RESET synchronous_standby_names');
      await scene.outbox.query('SELECT pg_reload_conf()');
      await scene.settle(daemon);
    },
  },
];

function expectWarning(daemon: Daemon, text: RegExp): void {
  const warning = daemon.log.find(({ msg }) => text.test(msg));
  if (warning === undefined) throw new Error(`nothing warns of ${text.source}`);
  if (warning.level !== 'warn' && warning.level !== 'error')
    throw new Error(`it is said at the level ${warning.level}`);
}
